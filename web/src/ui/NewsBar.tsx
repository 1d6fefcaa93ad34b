import { Box, Button } from "@mantine/core";
import { useT } from "../i18n";

type Props = {
  news: { count: number; isAll: boolean };
  /** Rows that are shown and no longer fit the filter. */
  gone: number;
  onShow: () => void;
  label: "deliveries.news" | "events.news";
};

/** Says that there is something new, and lets the reader decide when the list moves. */
export function NewsBar({ news, gone, onShow, label }: Props) {
  const t = useT();
  return (
    <div role="status">
      {news.count > 0 || gone > 0 ? (
        <Box p={6} ta="center" style={{ background: "var(--info-soft)", borderBottom: "1px solid var(--line)" }}>
          <Button size="compact-sm" variant="transparent" c="var(--info)" onClick={onShow}>
            {news.count > 0
              ? t(label, { count: news.count, more: news.isAll ? "+" : "" })
              : t("common.gone", { count: gone })}
          </Button>
        </Box>
      ) : null}
    </div>
  );
}
