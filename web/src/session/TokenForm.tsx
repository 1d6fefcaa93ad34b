import { Button, Stack, Textarea, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useT } from "../i18n";
import { cleanToken, readClaims } from "./jwt";

type Props = { askGroup?: boolean; group?: string; onToken: (token: string, group: string) => void };

export function TokenForm({ askGroup, group: known = "", onToken }: Props) {
  const t = useT();
  const [text, setText] = useState("");
  const [group, setGroup] = useState(known);
  const [fault, setFault] = useState<string | null>(null);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const token = cleanToken(text);
    const claims = readClaims(token);
    if (!claims) setFault(t("session.noToken"));
    else if (claims.exp !== undefined && claims.exp * 1000 <= Date.now()) setFault(t("session.oldToken"));
    else onToken(token, group.trim());
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
        {askGroup ? (
          <TextInput
            label={t("session.group")}
            description={t("session.groupHelp")}
            value={group}
            onChange={(event) => setGroup(event.currentTarget.value)}
            autoComplete="off"
            styles={{ input: { direction: "ltr" } }}
          />
        ) : null}
        <Button type="submit" disabled={text.trim() === ""}>
          {t("session.signIn")}
        </Button>
      </Stack>
    </form>
  );
}
