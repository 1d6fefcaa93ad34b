import { TextInput, type TextInputProps } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useEffect, useRef, useState } from "react";
import { Icon } from "./Icon";

type Props = { value: string; onChange: (value: string) => void; label: string } & Pick<
  TextInputProps,
  "maw" | "w" | "flex" | "styles"
>;

/** A filter that is typed: it counts once the typing pauses. */
export function SearchField({ value, onChange, label, ...style }: Props) {
  const [text, setText] = useState(value);
  const said = useRef(value);
  const say = useDebouncedCallback((value: string) => {
    said.current = value;
    onChange(value);
  }, 300);
  // Cleared or changed from outside. What was said from here comes back too, while the typing may have gone on.
  useEffect(() => {
    if (value === said.current) return;
    said.current = value;
    setText(value);
  }, [value]);
  return (
    <TextInput
      aria-label={label}
      placeholder={label}
      leftSection={<Icon name="search" size={16} />}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        say(event.currentTarget.value.trim());
      }}
      {...style}
    />
  );
}
