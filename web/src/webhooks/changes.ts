import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, type Versioned } from "../api/calls";
import { isStatus } from "../api/problem";
import type { Webhook, WebhookChange } from "../api/types";
import { useT } from "../i18n";
import { useErrorText } from "../ui/errorText";

/** Puts a changed webhook where the page looks for it. */
export function useKeep() {
  const client = useQueryClient();
  return (changed: Versioned<Webhook>) => {
    const { secret: _, ...shown } = changed.value;
    client.setQueryData(["webhook", shown.id], { value: shown, etag: changed.etag });
    // The lists show it at once: until they are loaded again a switch would fall back to what it was.
    client.setQueriesData<Webhook[]>({ queryKey: ["webhooks"] }, (list) =>
      list?.map((one) => (one.id === shown.id ? shown : one)),
    );
    void client.invalidateQueries({ queryKey: ["webhooks"] });
  };
}

export function useSayFailure() {
  const errorText = useErrorText();
  return (error: unknown) => {
    const { title, detail } = errorText(error);
    notifications.show({ color: "red", title, message: detail, autoClose: 10_000 });
  };
}

/** Changes a webhook; what fails is said. */
export function useChangeWebhook(id: string) {
  const keep = useKeep();
  const sayFailure = useSayFailure();
  return useMutation({
    mutationFn: (change: WebhookChange) => api.changeWebhook(id, change),
    onSuccess: keep,
    onError: sayFailure,
  });
}

/** Says why a step of a rotation failed. Where somebody else was first, the page is brought up to date by `reload`. */
export function useSayRotationFailure(reload: () => unknown) {
  const t = useT();
  const sayFailure = useSayFailure();
  return (error: unknown) => {
    if (!isStatus(error, 409)) return sayFailure(error);
    notifications.show({
      color: "red",
      title: t("secret.changedMeanwhile"),
      message: t("secret.changedMeanwhileDetail"),
      autoClose: 10_000,
    });
    void reload();
  };
}
