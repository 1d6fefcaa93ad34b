import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useT } from "../i18n";
import { Icon } from "../ui/Icon";

export function NewButton() {
  const t = useT();
  return (
    <Button component={Link} to="/webhooks/new" leftSection={<Icon name="plus" size={16} />}>
      {t("webhooks.new")}
    </Button>
  );
}
