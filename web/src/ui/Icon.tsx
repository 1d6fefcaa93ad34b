const PATHS = {
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  down: "M6 9.5l6 6 6-6",
  plus: "M12 5v14M5 12h14",
  dots: "M12 5.5v.01M12 12v.01M12 18.5v.01",
  pause: "M8 5v14M16 5v14",
  play: "M7 5l11 7-11 7z",
  trash: "M5 7h14M10 11v6M14 11v6M7 7l1 13h8l1-13M9.5 7V4h5v3",
  key: "M8.5 19a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM11.8 11.4L20 3.5M16 7.3l3 3",
  replay: "M4 12a8 8 0 1 0 2.6-5.9M4 4v4.5h4.5",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20 20",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  globe: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM3.5 12h17M12 3.5c5 5.5 5 11.5 0 17M12 3.5c-5 5.5-5 11.5 0 17",
  exit: "M14 4H5v16h9M10 12h10M16.5 8.5L20 12l-3.5 3.5",
  people:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c0-4 3-6 6.5-6s6.5 2 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6M18 14.5c2.2.8 3.5 2.7 3.5 5.5",
  alert: "M12 4L2.8 20h18.4zM12 10v4.5M12 17.3v.01",
  offline:
    "M3 3l18 18M8.5 12.5A6 6 0 0 1 12 11.3M5 9a11 11 0 0 1 3.5-2.2M12 6a11 11 0 0 1 7.5 3M15 12.3l.8.6M12 17.5v.01",
  hook: "M8 5.5a4 4 0 1 1 5.5 3.7L10 15.5M16 20a4 4 0 1 0-1-7.5l-3-5.3M6 12.5A4 4 0 1 0 9.5 17H16",
  send: "M20.5 3.5L3.5 10.5l7 3 3 7zM20.5 3.5l-10 10",
  shield: "M12 3.5l7.5 3v5c0 5-3.5 8-7.5 9.5-4-1.5-7.5-4.5-7.5-9.5v-5zM9 12l2.2 2.2L15.5 10",
  list: "M8.5 6.5H20M8.5 12H20M8.5 17.5H20M4 6.5v.01M4 12v.01M4 17.5v.01",
  clock: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7.5V12l3 2",
  inbox: "M4 13.5l3-8.5h10l3 8.5V19H4zM4 13.5h5l1 2.5h4l1-2.5h5",
  close: "M6 6l12 12M18 6L6 18",
  download: "M12 4v11M7.5 11L12 15.5 16.5 11M5 19.5h14",
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={name === "dots" ? 2.8 : 1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
