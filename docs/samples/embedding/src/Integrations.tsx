import { useEffect, useRef, useState } from "react";

type Props = {
  /** Where Taskwire is: `https://taskwire.example.com`. */
  origin: string;
  /** A token of the user who is signed in, good for a while. The same function each time. */
  getToken: () => Promise<string>;
  groupId: string;
  locale: string;
  theme: "light" | "dark" | "auto";
};

// snippet
export function Integrations({ origin, getToken, groupId, locale, theme }: Props) {
  const frame = useRef<HTMLIFrameElement>(null);
  const [asked, setAsked] = useState(0); // how often the page has asked: once it listens, and when its token runs out
  useEffect(() => {
    const listen = ({ source, origin: from, data }: MessageEvent) => {
      if (source !== frame.current?.contentWindow || from !== origin) return;
      if (data?.type === "taskwire:ready" || data?.type === "taskwire:token-needed") setAsked((times) => times + 1);
    };
    window.addEventListener("message", listen);
    return () => window.removeEventListener("message", listen);
  }, [origin]);
  useEffect(() => {
    const send = async () =>
      frame.current?.contentWindow?.postMessage({ type: "taskwire:session", token: await getToken(), groupId, locale, theme }, origin);
    if (asked > 0) void send();
  }, [asked, origin, getToken, groupId, locale, theme]);
  return <iframe ref={frame} src={`${origin}/admin/`} title="Integrations" allow="clipboard-write" className="h-[80vh] w-full" />;
}
// end of snippet
