// Calls the inbound endpoint. Nothing but the base class library: .NET 6 or later, .NET Framework, Mono.
//
//     INBOUND_SECRET=... Inbound POST <base>/api/integrations/inbound/<groupId>/tasks < body.json
//     INBOUND_SECRET=... Inbound GET <base>/api/integrations/inbound/<groupId>/tasks/<externalId>
//
// Prints the HTTP status, then the answer. Exit 0 for a 2xx. Mono: mcs -r:System.Net.Http.dll Inbound.cs

using System;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Tasks;

public static class InboundClient
{
    static readonly HttpClient Client = new HttpClient { Timeout = TimeSpan.FromSeconds(40) };

    /// <summary>The value of X-Signature for a body: the very bytes that are sent, empty for a GET.</summary>
    /// <param name="secret">The secret's text, whole, whsec_ included.</param>
    /// <param name="timestamp">The value of X-Timestamp: unix seconds.</param>
    /// <param name="body">The raw bytes.</param>
    public static string Sign(string secret, string timestamp, byte[] body)
    {
        byte[] message = Encoding.UTF8.GetBytes(timestamp + ".").Concat(body).ToArray();
        using (var hmac = new HMACSHA256(Encoding.UTF8.GetBytes(secret)))
            return "sha256=" + BitConverter.ToString(hmac.ComputeHash(message)).Replace("-", "").ToLowerInvariant();
    }

    /// <summary>
    /// Sends a request until it is answered, at most five times. The same signed request has one effect, however often it
    /// arrives: so it is signed once, and sent again as it is while its time is good (300 s).
    /// </summary>
    public static async Task<HttpResponseMessage> Call(string secret, string method, string url, byte[] body)
    {
        string timestamp = DateTimeOffset.UtcNow.ToUnixTimeSeconds().ToString();
        string signature = Sign(secret, timestamp, body);
        for (int attempt = 1; ; attempt++)
        {
            TimeSpan wait = TimeSpan.FromSeconds(Math.Pow(2, attempt));
            try
            {
                var request = new HttpRequestMessage(new HttpMethod(method), url);
                request.Headers.Add("X-Timestamp", timestamp);
                request.Headers.Add("X-Signature", signature);
                if (method != "GET")
                {
                    request.Content = new ByteArrayContent(body);
                    request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                }
                HttpResponseMessage answer = await Client.SendAsync(request);
                int status = (int)answer.StatusCode;
                if ((status != 429 && status != 503) || attempt == 5)
                    return answer;
                if (answer.Headers.RetryAfter != null)
                    wait = answer.Headers.RetryAfter.Delta ?? wait;
            }
            catch (HttpRequestException)
            {
                if (attempt == 5)
                    throw;
            }
            await Task.Delay(wait);
        }
    }
}

public static class Program
{
    public static int Main(string[] arguments)
    {
        string secret = Environment.GetEnvironmentVariable("INBOUND_SECRET");
        if (secret == null || arguments.Length != 2)
        {
            Console.Error.WriteLine("INBOUND_SECRET=... Inbound POST|GET <url> < body");
            return 2;
        }
        var body = new MemoryStream();
        if (arguments[0] != "GET")
            Console.OpenStandardInput().CopyTo(body);
        HttpResponseMessage answer =
            InboundClient.Call(secret, arguments[0], arguments[1], body.ToArray()).GetAwaiter().GetResult();
        Console.WriteLine((int)answer.StatusCode);
        Console.WriteLine(answer.Content.ReadAsStringAsync().GetAwaiter().GetResult());
        return answer.IsSuccessStatusCode ? 0 : 1;
    }
}
