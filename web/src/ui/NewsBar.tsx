import { Box, Button } from "@mantine/core";
import { useT } from "../i18n";

type Props = { news: { count: number; isAll: boolean }; onShow: () => void; label: "deliveries.news" | "events.news" };

/** Says that there is something new, and lets the reader decide when the list moves. */
export function NewsBar({ news, onShow, label }: Props) {
  const t = useT();
  return (
    <div role="status">
      {news.count > 0 ? (
        <Box p={6} ta="center" style={{ background: "var(--info-soft)", borderBottom: "1px solid var(--line)" }}>
          <Button size="compact-sm" variant="transparent" c="var(--info)" onClick={onShow}>
            {t(label, { count: news.count, more: news.isAll ? "+" : "" })}
          </Button>
        </Box>
      ) : null}
    </div>
  );
}
