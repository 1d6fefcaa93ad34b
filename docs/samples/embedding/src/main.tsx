import "./index.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { load } from "./service";

load().then((session) =>
  createRoot(document.getElementById("root")!).render(
    <StrictMode>
      <App session={session} />
    </StrictMode>,
  ),
);
