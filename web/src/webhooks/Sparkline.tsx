import { useDirection } from "@mantine/core";
import type { Hour } from "../api/types";
import { useT } from "../i18n";

const WIDTH = 120;
const HEIGHT = 26;

/** A day in bars, an hour each: what succeeded, and on top of it what failed. */
export function Sparkline({ hours }: { hours: Hour[] }) {
  const t = useT();
  const { dir } = useDirection();
  const most = Math.max(1, ...hours.map((hour) => hour.attempts));
  const step = WIDTH / Math.max(1, hours.length);
  const failures = hours.reduce((sum, hour) => sum + hour.failures, 0);
  const attempts = hours.reduce((sum, hour) => sum + hour.attempts, 0);
  return (
    <svg
      width={WIDTH}
      height={HEIGHT}
      style={dir === "rtl" ? { transform: "scaleX(-1)" } : undefined}
      role="img"
      aria-label={t("webhooks.spark", { attempts, failures })}
    >
      <path d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} stroke="var(--line)" />
      {hours.map((hour, index) => {
        const ok = (hour.successes / most) * (HEIGHT - 2);
        const bad = (hour.failures / most) * (HEIGHT - 2);
        const at = { x: index * step + 0.5, width: Math.max(1, step - 1) };
        return (
          <g key={hour.hour}>
            <rect {...at} y={HEIGHT - ok} height={ok} fill="var(--bar-ok)" />
            <rect {...at} y={HEIGHT - ok - bad} height={bad} fill="var(--bar-bad)" />
          </g>
        );
      })}
    </svg>
  );
}
