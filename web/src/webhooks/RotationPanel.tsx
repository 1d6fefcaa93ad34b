import { Alert, Group, Text } from "@mantine/core";
import type { Rotation } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";
import { BusyButton } from "../ui/BusyButton";
import { Icon } from "../ui/Icon";
import { Section } from "../ui/Page";
import { Ago, Ltr } from "../ui/Text";
import { useConfirm } from "../ui/useConfirm";

type Props = {
  hint: string | null;
  rotation: Rotation | null;
  onRotate: () => void;
  onFinalize: () => void;
  busy: boolean;
};

/** Where a secret stands, and the two steps of changing it. */
export function RotationPanel({ hint, rotation, onRotate, onFinalize, busy }: Props) {
  const t = useT();
  const format = useFormat();
  const confirm = useConfirm();
  const rotate = async () => {
    if (await confirm({ title: t("secret.rotateTitle"), text: t("secret.rotateDetail"), yes: t("secret.rotate") }))
      onRotate();
  };
  const finalize = async () => {
    const question = { title: t("secret.finalizeTitle"), text: t("secret.finalizeDetail"), yes: t("secret.finalize") };
    if (await confirm({ ...question, danger: true })) onFinalize();
  };
  return (
    <Section title={t("secret.title")} text={t("secret.text")}>
      <Group gap="xs" mb="md">
        <Icon name="key" size={16} />
        <Text size="sm">
          {hint ? (
            <>
              {t("secret.endsIn")} <Ltr mono>…{hint}</Ltr>
            </>
          ) : (
            t("secret.none")
          )}
        </Text>
      </Group>
      {rotation ? (
        <Alert color="wire" variant="light" title={t("secret.bothValid")} icon={<Icon name="replay" />}>
          <Text size="sm" mb="sm" component="div">
            {t("secret.since")} <Ago at={rotation.startedAt} />.{" "}
            {rotation.expiresAt
              ? t("secret.until", { time: format.time(rotation.expiresAt) })
              : t("secret.untilFinalized")}
          </Text>
          <BusyButton size="xs" onClick={finalize} busy={busy}>
            {t("secret.finalize")}
          </BusyButton>
        </Alert>
      ) : hint ? (
        <BusyButton variant="default" onClick={rotate} busy={busy} leftSection={<Icon name="replay" size={15} />}>
          {t("secret.rotate")}
        </BusyButton>
      ) : null}
    </Section>
  );
}
