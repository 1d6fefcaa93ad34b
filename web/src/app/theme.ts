import { createTheme, type MantineColorsTuple, Menu } from "@mantine/core";

const wire: MantineColorsTuple = [
  "#f0f1fd",
  "#e0e2fa",
  "#c4c7f4",
  "#a4a8ee",
  "#878ce6",
  "#5d62d4",
  "#4f53cb",
  "#4346b2",
  "#383a95",
  "#2b2d73",
];

const font = '"Heebo Variable", system-ui, -apple-system, "Segoe UI", sans-serif';

export const theme = createTheme({
  primaryColor: "wire",
  primaryShade: { light: 6, dark: 5 },
  colors: {
    wire,
    // Cooler than Mantine's, so that cards stand out from the ground without lines everywhere.
    dark: [
      "#e4e6ec",
      "#c3c7d2",
      "#a1a7b6",
      "#7a8092",
      "#4a5062",
      "#353a49",
      "#272b37",
      "#1b1e28",
      "#151821",
      "#0f1118",
    ],
  },
  fontFamily: font,
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  headings: { fontFamily: font, fontWeight: "650" },
  defaultRadius: "md",
  autoContrast: true,
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    // A menu's children are its items: the first has the keyboard's attention, and not an element that is none.
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false } }),
  },
});
