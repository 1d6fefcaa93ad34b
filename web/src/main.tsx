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
  const show = () =>
    createRoot(place).render(
      <StrictMode>
        <App />
      </StrictMode>,
    );
  setLanguage(firstLanguage()).then(show, () => {
    // There are no texts yet to say it with.
    place.textContent =
      "Taskwire cannot be reached. Reload this page. · אי אפשר להגיע אל Taskwire. יש לטעון את הדף מחדש.";
  });
}
