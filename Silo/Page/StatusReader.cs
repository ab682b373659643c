using System.Collections.Concurrent;
using DistMigrate.Contracts;
using DistMigrate.Grains;
using Microsoft.Extensions.Options;
using HostOptions = DistMigrate.Grains.HostOptions;

namespace DistMigrate.Silo.Page;

/// <summary>Gathers what the page shows from the grains of the cluster. Whatever does not answer in time is named; the rest is told.</summary>
internal sealed class StatusReader(IGrainFactory grains, IOptions<HostOptions> options, TimeProvider time, ILogger<StatusReader> logger)
{
    /// <summary>Cells of a RAMBlock's map.</summary>
    public const int Cells = 256;

    private const int Schema = 1;
    private const int MostUnfinished = 100;
    private const int MostEnded = 25;
    private const int MostBlocks = 32;
    private const int MostStorages = 16;

    /// <summary>How long one part may take to answer. An answer of ours takes three times as long at most.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    /// <summary>After that, what nobody asks for is forgotten.</summary>
    private static readonly TimeSpan Memory = TimeSpan.FromMinutes(10);

    private readonly ConcurrentDictionary<string, IQuestion> _questions = new(StringComparer.Ordinal);

    private volatile Dictionary<string, MigrationSummary>? _shown;

    /// <summary>The cluster.</summary>
    public async Task<OverviewDocument> ReadAsync()
    {
        Forget();
        List<Silence> silent = [];
        var presences = AskAsync("the cluster's membership", () => grains.GetGrain<IClusterGrain>(0).GetHosts());
        var shards = await Task.WhenAll(Enumerable.Range(0, CatalogShards.Count).Select(shard => AskAsync(
            $"the catalog, part {shard + 1} of {CatalogShards.Count}", () => grains.GetGrain<ICatalogGrain>(shard).List())));
        var catalog = Heard(shards, silent).SelectMany(shard => shard).OrderByDescending(migration => migration.Spec.Submitted)
            .ThenByDescending(migration => migration.Spec.Id, StringComparer.Ordinal).ToArray();
        var hosts = (Noted(await presences, silent).Value ?? []).ToArray();

        var unfinished = catalog.Where(migration => !migration.Phase.IsEnd()).ToArray();
        var statuses = Task.WhenAll(unfinished.Take(MostUnfinished).Select(AskMigrationAsync));
        var hostAnswers = await Task.WhenAll(hosts.Select(AskHostAsync));
        var hostStatuses = Heard(hostAnswers, silent);
        var documents = (await statuses).Select(answer => answer.Document).ToList();
        silent.AddRange((await statuses).Select(answer => answer.Silence).OfType<Silence>());
        var ended = catalog.Where(migration => migration.Phase.IsEnd()).OrderByDescending(migration => migration.Changed).Take(MostEnded).ToArray();
        _shown = unfinished.Take(MostUnfinished).Concat(ended).ToDictionary(migration => migration.Spec.Id);

        var storages = await Task.WhenAll(hostStatuses.SelectMany(host => host.Places).Select(place => place.Storage).Where(path => path.Length > 0)
            .Distinct().Order(StringComparer.Ordinal).Take(MostStorages)
            .Select(path => AskAsync($"the places of storage {path}", () => grains.GetGrain<IStorageGrain>(path).GetStatus())));
        return new OverviewDocument(
            Schema, options.Value.Name, SiloApplication.Version, time.GetUtcNow(), documents, [.. ended.Select(MigrationEntry.Of)],
            unfinished.Length - documents.Count,
            [.. hosts.Zip(hostAnswers, (host, answer) => HostEntry.Of(host, answer.Value, answer.At))],
            new QueueDocument([.. hostStatuses.Select(HostQueueEntry.Of)], [.. Heard(storages, silent).Select(StorageQueueEntry.Of)]),
            silent);
    }

    /// <summary>One migration of those that the overview shows; null when it is none of them, so that no made-up id reaches a grain.</summary>
    public async Task<DetailDocument?> ReadAsync(string id)
    {
        if (_shown?.ContainsKey(id) != true)
            await ReadAsync();
        if (_shown?.GetValueOrDefault(id) is not { } summary)
            return null;
        List<Silence> silent = [];
        var known = AskMigrationAsync(summary);
        var blocks = Noted(await AskAsync($"the RAMBlocks of migration {id}", () => grains.GetGrain<IMigrationGrain>(id).GetBlocks()), silent).Value ?? [];
        var shown = blocks.OrderByDescending(block => block.UsedLength).Take(MostBlocks).ToArray();
        var maps = summary.Phase.IsEnd() || shown.Length == 0
            ? null
            : Noted(await AskAsync($"the page states of migration {id} on host {summary.Spec.Host}", () => AskMapsAsync(summary.Spec, shown)), silent).Value;
        var (document, silence) = await known;
        if (silence is not null)
            silent.Add(silence);
        return new DetailDocument(
            Schema, document, [.. shown.Select(block => BlockEntry.Of(block, maps?.GetValueOrDefault(block.Name) ?? []))], blocks.Count - shown.Length, silent);
    }

    private async Task<Dictionary<string, IReadOnlyList<PageCounts>>> AskMapsAsync(MigrationSpec spec, BlockStatus[] blocks)
    {
        var maps = await Task.WhenAll(blocks.Select(block =>
            grains.GetGrain<IRamBlockGrain>(GrainKeys.RamBlock(spec.Host, spec.Request.Guest, block.Name)).GetMap(spec.Id, Cells)));
        return blocks.Zip(maps).ToDictionary(pair => pair.First.Name, pair => pair.Second);
    }

    private async Task<(MigrationDocument Document, Silence? Silence)> AskMigrationAsync(MigrationSummary summary)
    {
        var id = summary.Spec.Id;
        var answer = await AskAsync($"the coordinator of migration {id}", () => StatusOrNullAsync(id));
        return (answer.Value is { } status ? MigrationDocument.Of(status, answer.At) : MigrationDocument.Of(summary), answer.Silence);
    }

    /// <summary>A coordinator may not know its migration yet: then what the catalog says is all there is.</summary>
    private async Task<MigrationStatus?> StatusOrNullAsync(string id)
    {
        try
        {
            return await grains.GetGrain<IMigrationGrain>(id).GetStatus();
        }
        catch (MigrationException e) when (e.Reason == FailureReason.NotFound)
        {
            return null;
        }
    }

    /// <summary>One that is down is not asked: what it said before stands.</summary>
    private Task<Answer<HostStatus>> AskHostAsync(HostPresence presence)
    {
        var question = QuestionOf($"host {presence.Host}", () => grains.GetGrain<IHostGrain>(presence.Host).GetStatus());
        return presence.IsUp ? question.AskAsync() : Task.FromResult(question.Last with { Silence = null });
    }

    private Task<Answer<T>> AskAsync<T>(string what, Func<Task<T>> ask) where T : class? => QuestionOf(what, ask).AskAsync();

    private Question<T> QuestionOf<T>(string what, Func<Task<T>> ask) where T : class? =>
        (Question<T>)_questions.GetOrAdd(what, _ => new Question<T>(what, ask, Limit, time, logger));

    private void Forget()
    {
        var oldest = time.GetUtcNow() - Memory;
        foreach (var (what, _) in _questions.Where(question => question.Value.LastAsked < oldest))
            _questions.TryRemove(what, out _);
    }

    private static T[] Heard<T>(IEnumerable<Answer<T>> answers, List<Silence> silent) where T : class =>
        [.. answers.Select(answer => Noted(answer, silent).Value).OfType<T>()];

    private static Answer<T> Noted<T>(Answer<T> answer, List<Silence> silent) where T : class?
    {
        if (answer.Silence is not null)
            silent.Add(answer.Silence);
        return answer;
    }
}
