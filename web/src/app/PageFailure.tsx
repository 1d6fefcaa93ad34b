import { Button } from "@mantine/core";
import { type ErrorComponentProps, useRouter } from "@tanstack/react-router";
import { NewVersion } from "../api/problem";
import { useT } from "../i18n";
import { Empty, Failure } from "../ui/States";

/** Stands in a page's place where it cannot be loaded or drawn; the rest of the window stays. */
export function PageFailure({ error }: ErrorComponentProps) {
  const t = useT();
  const router = useRouter();
  if (!(error instanceof NewVersion)) return <Failure error={error} retry={() => router.invalidate()} />;
  const reload = <Button onClick={() => window.location.reload()}>{t("state.reload")}</Button>;
  return (
    <Empty order={1} icon="download" title={t("state.newVersion")} text={t("state.newVersionDetail")} action={reload} />
  );
}
