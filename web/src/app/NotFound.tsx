import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useT } from "../i18n";
import { Empty } from "../ui/States";

export function NotFound() {
  const t = useT();
  const home = (
    <Button component={Link} to="/">
      {t("nav.overview")}
    </Button>
  );
  return <Empty order={1} icon="search" title={t("state.notFound")} text={t("state.notFoundDetail")} action={home} />;
}
