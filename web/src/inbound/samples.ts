export const SAMPLES = ["cURL", "Node", "Python", "C#"] as const;
export type Sample = (typeof SAMPLES)[number];

/** What the samples are filled in with: the group's URL, a member who gets the task, and when it is due. */
export type Filled = { url: string; user: string; due: string };

const bodyWith = ({ user, due }: Filled) =>
  JSON.stringify({
    externalId: "order-4711",
    name: "Call the customer back",
    assignedUserId: user,
    difficulty: 3,
    dueAt: due,
  });

/** A call of this group's endpoint, signed: `sha256=` and the hex HMAC-SHA256 of `{timestamp}.{raw body}`. */
export function sampleOf(sample: Sample, filled: Filled): string {
  const { url } = filled;
  const body = bodyWith(filled);
  switch (sample) {
    case "cURL":
      return `SECRET='whsec_…'
BODY='${body}'
NOW=$(date +%s)
SIGNATURE=$(printf '%s.%s' "$NOW" "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)

curl -i '${url}' \\
  -H 'Content-Type: application/json' \\
  -H "X-Timestamp: $NOW" \\
  -H "X-Signature: sha256=$SIGNATURE" \\
  --data-binary "$BODY"`;
    case "Node":
      return `import { createHmac } from "node:crypto";

const body = JSON.stringify(${body});
const timestamp = String(Math.floor(Date.now() / 1000));
const signature = createHmac("sha256", process.env.SECRET).update(\`\${timestamp}.\${body}\`).digest("hex");

const answer = await fetch("${url}", {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
    "X-Timestamp": timestamp,
    "X-Signature": \`sha256=\${signature}\`,
  },
  body,
});
console.log(answer.status, await answer.json());`;
    case "Python":
      return `import hashlib, hmac, os, time, urllib.request

body = b'${body}'
timestamp = str(int(time.time()))
signature = hmac.new(os.environ["SECRET"].encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()

request = urllib.request.Request("${url}", data=body, method="POST", headers={
    "Content-Type": "application/json",
    "X-Timestamp": timestamp,
    "X-Signature": "sha256=" + signature,
})
with urllib.request.urlopen(request) as answer:
    print(answer.status, answer.read().decode())`;
    case "C#":
      return `using System.Security.Cryptography;
using System.Text;

var body = """${body}""";
var timestamp = DateTimeOffset.UtcNow.ToUnixTimeSeconds().ToString();
var key = Encoding.UTF8.GetBytes(Environment.GetEnvironmentVariable("SECRET")!);
var signature = Convert.ToHexString(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"{timestamp}.{body}"))).ToLowerInvariant();

using var client = new HttpClient();
using var request = new HttpRequestMessage(HttpMethod.Post, "${url}")
{
    Content = new StringContent(body, Encoding.UTF8, "application/json"),
};
request.Headers.Add("X-Timestamp", timestamp);
request.Headers.Add("X-Signature", $"sha256={signature}");
var answer = await client.SendAsync(request);
Console.WriteLine($"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");`;
  }
}
