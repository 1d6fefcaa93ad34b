import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./app/theme.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { firstLanguage } from "./app/preferences";
import { setLanguage } from "./i18n";

const place = document.getElementById("root");
if (place) {
  void setLanguage(firstLanguage()).finally(() =>
    createRoot(place).render(
      <StrictMode>
        <App />
      </StrictMode>,
    ),
  );
}
