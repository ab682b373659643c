using System.Globalization;
using System.Text.RegularExpressions;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>One system call of a save: the so-manieth of its kind in the first thread that makes so many from a moment on.</summary>
/// <param name="Moment">From when on it is counted.</param>
/// <param name="Call">Its name.</param>
/// <param name="Number">1 for the first.</param>
internal sealed partial record FaultPoint(FaultMoment Moment, string Call, int Number)
{
    /// <summary>The points of a record of a good save that every other one has as well: how many turns a writer gets is chance.</summary>
    public static IReadOnlyList<FaultPoint> Of(FaultMoment moment, IEnumerable<string> record)
    {
        var threads = record.Select(line => CallLine().Match(line)).Where(match => match.Success)
            .GroupBy(match => match.Groups["thread"].Value, match => match.Groups["call"].Value)
            .Select(calls => calls.ToList()).ToList();
        return
        [
            .. threads.SelectMany(calls => calls).Distinct().Order(StringComparer.Ordinal)
                .SelectMany(call => Enumerable.Range(1, Certain(moment, call, threads)).Select(number => new FaultPoint(moment, call, number))),
        ];
    }

    /// <summary>What strace is told to do at this point.</summary>
    /// <param name="what">Such as <c>error=EIO</c>.</param>
    public string Inject(string what) => string.Create(CultureInfo.InvariantCulture, $"{Call}:{what}:when={Number}");

    public override string ToString() => $"{Moment} {Call} {Number.ToString(CultureInfo.InvariantCulture)}";

    private static int Certain(FaultMoment moment, string call, List<List<string>> threads) => (moment, call) switch
    {
        (FaultMoment.Copying, _) => 2,
        (_, "fallocate") => 1,

        // The thread that makes the image writes its headers; the writers come later.
        (FaultMoment.Beginning, "pwrite64") => threads.Single(calls => calls.Contains("ftruncate")).Count(made => made == call),
        _ => threads.Max(calls => calls.Count(made => made == call)),
    };

    [GeneratedRegex(@"^(?:(?<thread>\d+) +)?(?<call>[a-z0-9_]+)\(")]
    private static partial Regex CallLine();
}
