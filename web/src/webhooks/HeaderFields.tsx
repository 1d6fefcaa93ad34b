import { ActionIcon, Box, Button, Group, Stack, TextInput } from "@mantine/core";
import type { ReactNode } from "react";
import { type FieldPath, type UseFormReturn, useFieldArray } from "react-hook-form";
import { useT } from "../i18n";
import { Icon } from "../ui/Icon";
import { ltrInput } from "../ui/ltrInput";
import { FaultText } from "./FaultText";
import type { FormValues } from "./schema";

type Props = { form: UseFormReturn<FormValues>; fault: (field: FieldPath<FormValues>) => ReactNode };

/** Headers of one's own, a row each. */
export function HeaderFields({ form: { control, register }, fault }: Props) {
  const t = useT();
  const headers = useFieldArray({ control, name: "headers" });
  return (
    <Stack gap="xs">
      {headers.fields.map((row, index) => (
        <Group key={row.id} gap="xs" align="flex-start" wrap="nowrap">
          <TextInput
            aria-label={t("form.headerName", { number: index + 1 })}
            placeholder="Authorization"
            flex={2}
            styles={ltrInput}
            error={fault(`headers.${index}.name`)}
            {...register(`headers.${index}.name`)}
          />
          <TextInput
            aria-label={t("form.headerValue", { number: index + 1 })}
            placeholder="Bearer …"
            flex={3}
            styles={ltrInput}
            error={fault(`headers.${index}.value`)}
            {...register(`headers.${index}.value`)}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            size={36}
            aria-label={t("form.headerRemove", { number: index + 1 })}
            onClick={() => headers.remove(index)}
          >
            <Icon name="close" size={16} />
          </ActionIcon>
        </Group>
      ))}
      <FaultText text={fault("headers")} />
      <Box>
        <Button
          variant="default"
          size="xs"
          leftSection={<Icon name="plus" size={14} />}
          onClick={() => headers.append({ name: "", value: "" })}
        >
          {t("form.headerAdd")}
        </Button>
      </Box>
    </Stack>
  );
}
