import { Drawer, useDirection } from "@mantine/core";
import type { ReactNode } from "react";
import { useT } from "../i18n";

type Props = { opened: boolean; onClose: () => void; title: string; children: ReactNode };

/** What a row opens: at the side where lines end. */
export function SideDrawer({ opened, onClose, title, children }: Props) {
  const t = useT();
  const { dir } = useDirection();
  return (
    <Drawer
      opened={opened}
      onClose={onClose}
      position={dir === "rtl" ? "left" : "right"}
      size="lg"
      title={title}
      closeButtonProps={{ "aria-label": t("common.close") }}
      styles={{ title: { fontWeight: 650 } }}
    >
      {children}
    </Drawer>
  );
}
