import { Button, Stack, Textarea } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useT } from "../i18n";
import { cleanToken, readClaims } from "./jwt";

type Props = { onToken: (token: string) => void };

export function TokenForm({ onToken }: Props) {
  const t = useT();
  const [text, setText] = useState("");
  const [fault, setFault] = useState<string | null>(null);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const token = cleanToken(text);
    const claims = readClaims(token);
    if (!claims) setFault(t("session.noToken"));
    else if (claims.exp !== undefined && claims.exp * 1000 <= Date.now()) setFault(t("session.oldToken"));
    else onToken(token);
  };

  return (
    <form onSubmit={submit}>
      <Stack>
        <Textarea
          label={t("session.token")}
          description={t("session.tokenHelp")}
          placeholder="eyJhbGciOi…"
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setFault(null);
          }}
          error={fault}
          rows={4}
          spellCheck={false}
          autoComplete="off"
          styles={{ input: { direction: "ltr", fontFamily: "var(--mantine-font-family-monospace)", fontSize: 13 } }}
          data-autofocus
        />
        <Button type="submit" disabled={text.trim() === ""}>
          {t("session.signIn")}
        </Button>
      </Stack>
    </form>
  );
}
