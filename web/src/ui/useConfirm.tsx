import { Button, Group, Modal, Text, TextInput } from "@mantine/core";
import { createContext, type FormEvent, type ReactNode, useCallback, useContext, useState } from "react";
import { useT } from "../i18n";
import { asSeen, isolated } from "../i18n/format";

export type Question = {
  title: string;
  text: string;
  yes: string;
  danger?: boolean;
  /** Must be typed first, as it is seen. */
  type?: string;
};
type Asked = Question & { answer: (yes: boolean) => void };

const Context = createContext<(question: Question) => Promise<boolean>>(() => Promise.resolve(false));
/** Asks a question and answers whether it was affirmed. */
export const useConfirm = () => useContext(Context);

export function ConfirmProvider({ children }: { children: ReactNode }) {
  const t = useT();
  const [asked, setAsked] = useState<Asked | null>(null);
  const [opened, setOpened] = useState(false);
  const [typed, setTyped] = useState("");

  const ask = useCallback(
    (question: Question) =>
      new Promise<boolean>((answer) => {
        setTyped("");
        setAsked({ ...question, answer });
        setOpened(true);
      }),
    [],
  );
  const answer = (yes: boolean) => {
    setOpened(false);
    asked?.answer(yes);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    answer(true);
  };

  return (
    <Context.Provider value={ask}>
      {children}
      <Modal
        opened={opened}
        onClose={() => answer(false)}
        title={asked?.title}
        closeButtonProps={{ "aria-label": t("common.close") }}
        zIndex={400}
      >
        <form onSubmit={submit}>
          <Text size="sm">{asked?.text}</Text>
          {asked?.type ? (
            <TextInput
              mt="md"
              label={t("common.typeName", { name: isolated(asked.type) })}
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              autoComplete="off"
              styles={{ input: { unicodeBidi: "plaintext" } }}
              data-autofocus
            />
          ) : null}
          <Group justify="flex-end" mt="lg">
            <Button variant="default" onClick={() => answer(false)}>
              {t("common.cancel")}
            </Button>
            <Button
              type="submit"
              color={asked?.danger ? "red.8" : undefined}
              disabled={asked?.type ? asSeen(typed) !== asSeen(asked.type) : false}
              data-autofocus={asked?.type ? undefined : true}
            >
              {asked?.yes}
            </Button>
          </Group>
        </form>
      </Modal>
    </Context.Provider>
  );
}
