import { Button, type ButtonProps } from "@mantine/core";
import type { ComponentPropsWithoutRef, MouseEvent } from "react";

type Props = Omit<ButtonProps, "loading" | "renderRoot"> &
  Omit<ComponentPropsWithoutRef<"button">, keyof ButtonProps> & {
    /** What it began is under way: it shows that, and takes no click. */
    busy: boolean;
  };

const ignore = (event: MouseEvent) => event.preventDefault();

/** While it is busy it keeps the keyboard's attention, which a disabled button loses for good. */
export const BusyButton = ({ busy, disabled, onClick, ...rest }: Props) => (
  <Button
    {...rest}
    loading={busy}
    disabled={disabled}
    onClick={busy ? ignore : onClick}
    renderRoot={(root) => <button {...root} disabled={disabled} aria-disabled={busy || undefined} />}
  />
);
