import { Box } from "@mantine/core";
import { type ReactNode, useEffect, useRef } from "react";

type Props = {
  /** Another number is another call; with 0 nobody is called. */
  call: number;
  children: ReactNode;
};

/** What has to be read before going on: brought into view, with the keyboard's attention, each time it is called for. */
export function Attention({ call, children }: Props) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (call === 0) return;
    place.current?.scrollIntoView({ block: "center" });
    place.current?.focus({ preventScroll: true });
  }, [call]);
  return (
    <Box ref={place} tabIndex={-1} style={{ outline: "none" }}>
      {children}
    </Box>
  );
}
