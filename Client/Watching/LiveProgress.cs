using System.Globalization;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace DistMigrate.Client.Watching;

/// <summary>For a person at a terminal: a picture that is drawn over itself and leaves nothing behind.</summary>
internal sealed class LiveProgress(Terminal terminal, TimeProvider time) : IProgressView
{
    // Smaller RAMBlocks are firmware tables and option ROMs: they are done at once and would only push the others away.
    private const long SmallBlock = 1 << 20;
    private const int BarWidth = 30;
    private const int LinesBesideBlocks = 8;

    private readonly ProgressEstimate _estimate = new(time);

    public TimeSpan Period { get; } = TimeSpan.FromMilliseconds(250);

    public bool ShowsBlocks => true;

    public async Task<T> RunAsync<T>(Func<IProgressSink, Task<T>> body) =>
        await terminal.Error.Live(new Text(""))
            .AutoClear(true)
            .Overflow(VerticalOverflow.Crop)
            .Cropping(VerticalOverflowCropping.Bottom)
            .StartAsync(context => body(new Sink(this, context)));

    internal IRenderable Draw(Snapshot snapshot, string? message)
    {
        var status = snapshot.Status;
        var rows = new List<IRenderable> { Heading(status), Blocks(status, snapshot.Blocks) };
        if (TroubleText.Short(status, time) is { } trouble)
            rows.Add(new Text(Printable.Of(trouble), new Style(Color.Yellow)));
        if (status.Message.Length > 0)
            rows.Add(new Text(Printable.Of(status.Message), new Style(Color.Grey)));
        if (message is not null)
            rows.Add(new Text(Printable.Of(message), new Style(Color.Yellow)));
        return new Rows(rows);
    }

    private static Text Heading(MigrationStatus status)
    {
        var request = status.Spec.Request;
        var (from, to) = request.Kind switch
        {
            MigrationKind.Save => (request.Guest, request.ImagePath),
            _ when request.Move is { } move => ($"{request.Guest} {status.Spec.Host}", move.Target),
            MigrationKind.Plan => (request.Guest, request.ImagePath),
            _ => (request.ImagePath, request.Guest),
        };
        var queue = status.QueuePosition > 0
            ? string.Create(CultureInfo.InvariantCulture, $", position {status.QueuePosition}")
            : "";
        return new Text(
            Printable.Of($"{OutputJson.NameOf(request.Kind)} {from} → {to}  [{status.Phase.ToName()}{queue}]  {status.Spec.Id}"),
            new Style(decoration: Decoration.Bold))
        {
            Overflow = Overflow.Ellipsis,
        };
    }

    private Grid Blocks(MigrationStatus status, IReadOnlyList<BlockStatus> blocks)
    {
        var grid = new Grid();
        for (var i = 0; i < 5; i++)
            grid.AddColumn(new GridColumn { NoWrap = true, Padding = new Padding(0, 0, 2, 0), Alignment = i is 2 or 3 ? Justify.Right : Justify.Left });

        var ram = status.Ram;
        var left = _estimate.Next(ram);
        if (ram.Total > 0)
        {
            var rate = status.BytesPerSecond > 0 && status.Phase != MigrationPhase.Paused ? ByteSize.FormatRate(status.BytesPerSecond) : "";
            var eta = left is { } time && status.Phase == MigrationPhase.Active ? $"{DurationText.Format(time)} left" : "";
            AddRow(grid, "all memory", ram.Total - ram.Remaining, ram.Total, Color.Green, $"{rate}  {eta}".Trim());
        }

        var large = blocks.Where(b => b.UsedLength >= SmallBlock).ToList();
        var small = blocks.Where(b => b.UsedLength < SmallBlock).ToList();
        var room = Math.Max(1, terminal.Error.Profile.Height - LinesBesideBlocks);
        foreach (var block in large.Take(room))
            AddRow(grid, block.Name, DoneBytes(block), block.UsedLength, ColorOf(block), StateOf(block));
        if (large.Count > room)
            AddSum(grid, string.Create(CultureInfo.InvariantCulture, $"{large.Count - room} more blocks"), large.Skip(room));
        if (small.Count > 0)
            AddSum(grid, string.Create(CultureInfo.InvariantCulture, $"{small.Count} small blocks"), small);
        return grid;
    }

    private void AddSum(Grid grid, string name, IEnumerable<BlockStatus> blocks)
    {
        var all = blocks.ToList();
        AddRow(
            grid, name, all.Sum(DoneBytes), all.Sum(b => b.UsedLength),
            all.Exists(b => b.Activity == BlockActivity.Failed) ? Color.Red : Color.Blue, "");
    }

    private void AddRow(Grid grid, string name, long done, long total, Color color, string state)
    {
        var filled = total == 0 ? 0 : (int)(BarWidth * Math.Clamp((double)done / total, 0, 1));
        var (full, empty) = terminal.Error.Profile.Capabilities.Unicode ? ('█', '░') : ('#', '-');
        grid.AddRow(
            new Text(Printable.Of(name)),
            new Paragraph(new string(full, filled), new Style(color)).Append(new string(empty, BarWidth - filled), new Style(Color.Grey)),
            new Text(LineProgress.Percent(done, total)),
            new Text($"{ByteSize.Format(done)} of {ByteSize.Format(total)}"),
            new Text(Printable.Of(state)));
    }

    private static long DoneBytes(BlockStatus block) => (block.Pages.Written + block.Pages.Durable) * 4096;

    private static Color ColorOf(BlockStatus block) => block.Activity == BlockActivity.Failed ? Color.Red : Color.Blue;

    private static string StateOf(BlockStatus block) => block.Activity switch
    {
        BlockActivity.Failed => block.Error,
        BlockActivity.Iterating => "",
        var activity => OutputJson.NameOf(activity),
    };

    private sealed class Sink(LiveProgress view, LiveDisplayContext context) : IProgressSink
    {
        private Snapshot? _last;
        private string? _message;

        public void Show(Snapshot snapshot)
        {
            _last = snapshot;
            _message = null;
            Draw();
        }

        public void Say(string message)
        {
            _message = message;
            Draw();
        }

        private void Draw()
        {
            context.UpdateTarget(_last is null ? new Text(_message ?? "") : view.Draw(_last, _message));
        }
    }
}
