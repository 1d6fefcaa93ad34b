import { TextInput, type TextInputProps } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

type Props = Omit<TextInputProps, "value" | "onChange"> & {
  /** None where the field is empty; NaN where what is typed is no whole number. */
  value: number | null;
  onChange: (value: number | null) => void;
};

const shown = (value: number | null) => (value === null || Number.isNaN(value) ? "" : String(value));

function read(text: string): number | null {
  if (text.trim() === "") return null;
  // What is too large for a number is still one that is too large.
  return /^\s*\d+\s*$/.test(text) ? Math.min(Number(text), Number.MAX_SAFE_INTEGER) : Number.NaN;
}

/** A whole number. What is typed stays as it is, to be judged: left out letters would make another number of it. */
export function NumberField({ value, onChange, ...rest }: Props) {
  const [text, setText] = useState(shown(value));
  const said = useRef(value);
  useEffect(() => {
    if (Object.is(value, said.current)) return;
    said.current = value;
    setText(shown(value));
  }, [value]);
  return (
    <TextInput
      inputMode="numeric"
      autoComplete="off"
      value={text}
      onChange={({ currentTarget: input }) => {
        setText(input.value);
        said.current = read(input.value);
        onChange(said.current);
      }}
      {...rest}
    />
  );
}
