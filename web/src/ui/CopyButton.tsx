import { Button, type ButtonProps } from "@mantine/core";
import { useT } from "../i18n";
import { Icon } from "./Icon";
import { useCopy } from "./useCopy";

type Props = { text: string; label: string } & Pick<ButtonProps, "size" | "variant" | "disabled">;

/** A button that copies, and says whether it could. */
export function CopyButton({ text, label, size, variant, disabled }: Props) {
  const t = useT();
  const { state, copy } = useCopy();
  return (
    <Button
      size={size}
      variant={state === "copied" ? "light" : variant}
      color={state === "failed" ? "red.8" : undefined}
      disabled={disabled}
      onClick={() => copy(text)}
      leftSection={<Icon name={state === "copied" ? "check" : "copy"} size={15} />}
    >
      {state === null ? label : t(state === "copied" ? "common.copied" : "common.notCopied")}
    </Button>
  );
}
