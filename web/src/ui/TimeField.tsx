import { TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { type SyntheticEvent, useEffect, useRef, useState } from "react";
import { fromLocalInput, toLocalInput } from "../deliveries/filter";

type Props = { value: string | undefined; onChange: (time: string | undefined) => void; label: string };

/** The digits of a year come one by one: 2026 is the years 2, 20 and 202 on its way. */
const isYearBegun = (text: string) => text.startsWith("0");

/** A time that is typed: it counts once it is whole and the typing pauses, or the field is left. */
export function TimeField({ value, onChange, label }: Props) {
  const [text, setText] = useState(toLocalInput(value));
  const said = useRef(value);
  const say = (text: string) => {
    if (text === toLocalInput(said.current)) return;
    said.current = fromLocalInput(text);
    onChange(said.current);
  };
  const sayLater = useDebouncedCallback(say, 600);
  // Changed from outside. What was said from here comes back too, while the typing may have gone on.
  useEffect(() => {
    if (value === said.current) return;
    said.current = value;
    setText(toLocalInput(value));
  }, [value]);
  // Half of a time is no text for the browser either: only `badInput` tells it from an emptied field.
  const isHalf = (input: HTMLInputElement) => input.validity.badInput || isYearBegun(input.value);
  const settle = ({ currentTarget: input }: SyntheticEvent<HTMLInputElement>) => {
    sayLater.cancel();
    if (isHalf(input)) {
      input.value = toLocalInput(said.current);
      setText(input.value);
    } else say(input.value);
  };
  return (
    <TextInput
      type="datetime-local"
      aria-label={label}
      // A year has four digits: the keyboard goes on to the next part after them.
      max="9999-12-31T23:59"
      value={text}
      onChange={({ currentTarget: input }) => {
        setText(input.value);
        if (isHalf(input)) sayLater.cancel();
        else sayLater(input.value);
      }}
      onBlur={settle}
      onKeyDown={(event) => {
        if (event.key === "Enter") settle(event);
      }}
    />
  );
}
