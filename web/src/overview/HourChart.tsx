import { Group, Text, useDirection } from "@mantine/core";
import { useLayoutEffect, useRef, useState } from "react";
import type { Hour } from "../api/types";
import { useT } from "../i18n";
import { useFormat } from "../i18n/format";

const HEIGHT = 200;
const FOOT = 22;
const SIDE = 40;

/** The next round number: 1, 2, 5 times a power of ten. */
export function roundUp(value: number): number {
  if (value <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 4, 5, 10].find((factor) => factor * power >= value) ?? 10;
  return step * power;
}

/** How wide an element is, from its first picture on. */
function useWidth() {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const measure = () => setWidth(element.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return { ref, width };
}

/** Attempts by hour, successes below failures; the past on the side where a language begins. */
export function HourChart({ hours }: { hours: Hour[] }) {
  const t = useT();
  const format = useFormat();
  const { dir } = useDirection();
  const { ref, width } = useWidth();
  const [at, setAt] = useState<number | null>(null);
  const most = roundUp(Math.max(0, ...hours.map((hour) => hour.attempts)));
  const plot = Math.max(0, width - SIDE);
  const step = plot / Math.max(1, hours.length);
  const y = (value: number) => HEIGHT - (value / most) * HEIGHT;
  const mirrored = dir === "rtl";
  const left = (index: number) => (mirrored ? plot - (index + 1) * step : SIDE + index * step);
  const every = Math.max(1, Math.ceil(60 / Math.max(1, step)));
  const shown = at === null ? null : hours[at];

  return (
    <>
      <Group gap="lg" mt={6} mb="sm" mih={22}>
        {(
          [
            ["var(--bar-ok)", "overview.delivered"],
            ["var(--bar-bad)", "overview.failed"],
          ] as const
        ).map(([colour, label]) => (
          <Group key={label} gap={6}>
            <span aria-hidden style={{ width: 10, height: 10, borderRadius: 3, background: colour }} />
            <Text size="xs" c="dimmed">
              {t(label)}
            </Text>
          </Group>
        ))}
        <Text size="xs" c="dimmed" ms="auto" aria-live="polite">
          {shown ? t("overview.hour", { hour: format.hour(shown.hour), ok: shown.successes, bad: shown.failures }) : ""}
        </Text>
      </Group>
      <div ref={ref} style={{ direction: "ltr" }}>
        <svg
          width="100%"
          height={HEIGHT + FOOT}
          role="img"
          aria-label={t("overview.chart", { attempts: hours.reduce((sum, hour) => sum + hour.attempts, 0) })}
          onMouseLeave={() => setAt(null)}
        >
          {[0, most / 4, most / 2, (most * 3) / 4, most].map((value) => (
            <g key={value}>
              <line
                x1={mirrored ? 0 : SIDE}
                x2={mirrored ? plot : width}
                y1={y(value)}
                y2={y(value)}
                stroke="var(--line)"
              />
              <text
                x={mirrored ? width : SIDE - 8}
                y={Math.max(10, y(value) + 4)}
                textAnchor="end"
                fontSize="11"
                fill="var(--muted)"
              >
                {format.number(value)}
              </text>
            </g>
          ))}
          {hours.map((hour, index) => {
            const bar = { x: left(index) + step * 0.14, width: Math.max(1, step * 0.72) };
            const ok = HEIGHT - y(hour.successes);
            const bad = HEIGHT - y(hour.failures);
            return (
              // biome-ignore lint/a11y/noStaticElementInteractions: pointing only shows an hour's figures; the drawing has a name
              <g key={hour.hour} onMouseEnter={() => setAt(index)}>
                <rect
                  x={left(index)}
                  y={0}
                  width={step}
                  height={HEIGHT}
                  fill={at === index ? "var(--idle-soft)" : "transparent"}
                />
                <rect {...bar} y={HEIGHT - ok} height={ok} rx={2} fill="var(--bar-ok)" />
                <rect {...bar} y={HEIGHT - ok - bad} height={bad} rx={2} fill="var(--bar-bad)" />
                {index % every === 0 ? (
                  <text
                    x={left(index) + step / 2}
                    y={HEIGHT + 16}
                    textAnchor="middle"
                    fontSize="11"
                    fill="var(--muted)"
                  >
                    {format.hour(hour.hour)}
                  </text>
                ) : null}
              </g>
            );
          })}
        </svg>
      </div>
    </>
  );
}
