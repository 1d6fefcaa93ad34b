import { Text } from "@mantine/core";
import type { ReactNode } from "react";

/** A fault of several fields together. */
export const FaultText = ({ text }: { text: ReactNode }) =>
  text ? (
    <Text size="xs" c="var(--bad)" mt="xs" role="alert">
      {text}
    </Text>
  ) : null;
