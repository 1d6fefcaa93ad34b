import { describe, expect, test } from "vitest";
import { headerFault, isPrivateHost, total, urlFault, urlWarning, waits } from "./checks";

describe("a target URL", () => {
  test.each([
    ["", "form.fault.urlMissing"],
    ["partner.example/hook", "form.fault.urlBad"],
    ["ftp://partner.example/", "form.fault.urlScheme"],
    ["javascript:alert(1)", "form.fault.urlScheme"],
    ["https://user:pass@partner.example/", "form.fault.urlCredentials"],
    ["https://partner.example/#part", "form.fault.urlFragment"],
    ["https://partner.example/#", "form.fault.urlFragment"],
    ["https://partner.example/a b", "form.fault.urlBlank"],
    [`https://partner.example/${"x".repeat(2048)}`, "form.fault.urlLong"],
    ["https://partner.example/hook?x=1", null],
    ["http://127.0.0.1:9000/hook", null],
  ])("%s → %s", (url, fault) => expect(urlFault(url)).toBe(fault));

  test("is warned of where only a server's settings may allow it, in every spelling of an address", () => {
    for (const url of [
      "https://127.1/",
      "https://0x7f000001/",
      "https://localhost./",
      "https://10.1.2.3/",
      "https://169.254.169.254/",
      "https://[::1]/",
      "https://[::ffff:127.0.0.1]/",
      "https://[fd00::1]/",
      "https://192.168.0.1/",
      "https://172.16.0.1/",
      "https://100.64.0.1/",
    ]) {
      expect(urlWarning(url), url).toBe("form.warn.private");
    }
    expect(urlWarning("http://partner.example/")).toBe("form.warn.http");
    expect(urlWarning("https://partner.example/")).toBeNull();
    expect(urlWarning("https://172.32.0.1/")).toBeNull();
    expect(isPrivateHost("10.example.com")).toBe(false);
  });
});

describe("a retry policy", () => {
  test("waits twice as long each time", () => expect(waits(4, 30)).toEqual([30, 60, 120]));
  test("never waits longer than a day", () => expect(waits(20, 86_400).every((wait) => wait === 86_400)).toBe(true));
  test("of the defaults takes 58 hours", () => expect(Math.floor(total(waits(14, 30)) / 3600)).toBe(58));
  test("of one attempt has no wait", () => expect(waits(1, 30)).toEqual([]));
});

describe("a header", () => {
  test.each([
    ["X-Api-Key", "k 1", null],
    ["Authorization", "Bearer abc", null],
    ["X Api", "v", "form.fault.headerName"],
    ["", "v", "form.fault.headerName"],
    ["X-Signature", "v", "form.fault.headerReserved"],
    ["WEBHOOK-id", "v", "form.fault.headerReserved"],
    ["Host", "v", "form.fault.headerReserved"],
    ["X_Signature", "v", "form.fault.headerReserved"],
    ["x-there", "v", "form.fault.headerTwice"],
    ["X-A", "grün", "form.fault.headerValue"],
    ["X-A", " v", "form.fault.headerValue"],
    ["X-A", "a\nb", "form.fault.headerValue"],
  ])("%s: %s → %s", (name, value, message) =>
    expect(headerFault({ name, value }, [{ name: "X-There", value: "" }])?.message ?? null).toBe(message),
  );
});
