// Verifies a webhook's X-Signature. Nothing but the base class library: .NET 6 or later, .NET Framework, Mono.
//
//     WEBHOOK_SECRET=... Verify <X-Timestamp> <X-Signature> [now] < body
//
// Exit 0: genuine. 1: not, with the reason. `now` (unix seconds) replaces the clock, for tests.
//
// In a server, take the body as raw bytes, before anything parses it. A minimal API of ASP.NET Core:
//
//     app.MapPost("/hook", async (HttpRequest request) => {
//         var buffer = new MemoryStream();
//         await request.Body.CopyToAsync(buffer);
//         var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
//         string reason = WebhookSignature.Verify(
//             secret, request.Headers["X-Timestamp"], request.Headers["X-Signature"], buffer.ToArray(), now);
//         return reason == null ? Results.NoContent() : Results.Unauthorized();
//     });
//
// The same by `dotnet add package StandardWebhooks`, which reads webhook-id, webhook-timestamp and webhook-signature:
//
//     var headers = new System.Net.WebHeaderCollection();
//     foreach (var name in new[] { "webhook-id", "webhook-timestamp", "webhook-signature" })
//         headers.Add(name, request.Headers[name]);
//     // A secret without the prefix is a text, not base64: its UTF-8 bytes are the key.
//     var webhook = secret.StartsWith("whsec_")
//         ? new StandardWebhooks.Webhook(secret)
//         : new StandardWebhooks.Webhook(Encoding.UTF8.GetBytes(secret));
//     webhook.Verify(Encoding.UTF8.GetString(body), headers);   // throws WebhookVerificationException

using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

public static class WebhookSignature
{
    const long ToleranceSeconds = 300;

    /// <summary>Null if the request is genuine, else the reason why not: answer 401 then.</summary>
    /// <param name="secret">The secret's text, whole, whsec_ included.</param>
    /// <param name="timestamp">The header X-Timestamp.</param>
    /// <param name="signature">The header X-Signature.</param>
    /// <param name="body">The raw bytes.</param>
    /// <param name="now">Unix seconds.</param>
    public static string Verify(string secret, string timestamp, string signature, byte[] body, long now)
    {
        long seconds;
        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out seconds))
            return "X-Timestamp is not a whole number";
        if (seconds < now - ToleranceSeconds || seconds > now + ToleranceSeconds)
            return "X-Timestamp is too far from the present";
        byte[] message = Encoding.UTF8.GetBytes(timestamp + ".").Concat(body).ToArray();
        byte[] digest;
        using (var hmac = new HMACSHA256(Encoding.UTF8.GetBytes(secret)))
            digest = hmac.ComputeHash(message);
        string wanted = "sha256=" + BitConverter.ToString(digest).Replace("-", "").ToLowerInvariant();
        // While a rotation is open there are two values; one of them must fit.
        bool fits = (signature ?? "").Split(',').Any(value => SameText(value.Trim(), wanted));
        return fits ? null : "no value of X-Signature fits";
    }

    // Takes the same time wherever the difference is. On .NET, CryptographicOperations.FixedTimeEquals does this.
    static bool SameText(string one, string other)
    {
        if (one.Length != other.Length)
            return false;
        int difference = 0;
        for (int at = 0; at < one.Length; at++)
            difference |= one[at] ^ other[at];
        return difference == 0;
    }
}

public static class Program
{
    public static int Main(string[] arguments)
    {
        string secret = Environment.GetEnvironmentVariable("WEBHOOK_SECRET");
        if (secret == null || arguments.Length < 2)
        {
            Console.Error.WriteLine("WEBHOOK_SECRET=... Verify <X-Timestamp> <X-Signature> [now] < body");
            return 2;
        }
        var body = new MemoryStream();
        Console.OpenStandardInput().CopyTo(body);
        long now = arguments.Length > 2
            ? long.Parse(arguments[2], CultureInfo.InvariantCulture)
            : DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        string reason = WebhookSignature.Verify(secret, arguments[0], arguments[1], body.ToArray(), now);
        Console.WriteLine(reason == null ? "genuine" : "not genuine: " + reason);
        return reason == null ? 0 : 1;
    }
}
