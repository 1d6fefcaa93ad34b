import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { api } from "../api/calls";
import type { TestResult, Webhook } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { BusyButton } from "../ui/BusyButton";
import { Icon } from "../ui/Icon";
import { useOnce } from "../ui/useOnce";
import { useSayFailure } from "./changes";

/** Sends one signed test now and says what came back. */
export function TestButton({ webhook }: { webhook: Webhook }) {
  const t = useT();
  const format = useFormat();
  const sayFailure = useSayFailure();
  const test = useMutation({
    mutationFn: () => api.test(webhook.id),
    onError: sayFailure,
    onSuccess: (result: TestResult) => {
      const fine = result.status === "delivered";
      const took = format.milliseconds(result.durationMs);
      notifications.show({
        color: fine ? "teal" : "red",
        title: t(fine ? "test.fine" : "test.failed"),
        message: fine
          ? t("test.answered", { status: result.responseStatus ?? 0, took })
          : (result.errorMessage ?? t("test.answered", { status: result.responseStatus ?? 0, took })),
      });
    },
  });
  const begin = useOnce(test);
  return (
    <BusyButton
      variant="default"
      busy={test.isPending}
      leftSection={<Icon name="send" size={15} />}
      onClick={() => begin()}
    >
      {t("test.send")}
    </BusyButton>
  );
}
