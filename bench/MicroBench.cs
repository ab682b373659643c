using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace DistMigrate.Bench;

/// <summary>The copy loop and its parts, per page.</summary>
internal static class MicroBench
{
    public static void Run()
    {
        // In this process, because a generated project would be built by the repository's own rules.
        var job = Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(7);
        var artifacts = Directory.CreateTempSubdirectory("dm-bench-micro-").FullName;
        try
        {
            var logger = new AccumulationLogger();
            var config = ManualConfig.CreateEmpty()
                .AddJob(job)
                .AddColumnProvider(DefaultColumnProviders.Instance)
                .AddDiagnoser(MemoryDiagnoser.Default)
                .AddLogger(logger)
                .WithArtifactsPath(artifacts);
            var summaries = BenchmarkRunner.Run([typeof(CopyBenchmarks), typeof(PageBenchmarks)], config);
            Console.WriteLine("## Per page of 4096 bytes\n");
            foreach (var summary in summaries)
            {
                if (summary.HasCriticalValidationErrors || summary.Reports.Any(report => !report.Success))
                    throw new InvalidOperationException($"A benchmark failed: {logger.GetLog()}");
                MarkdownExporter.GitHub.ExportToLog(summary, ConsoleLogger.Unicode);
            }

            var allocating = summaries.SelectMany(summary => summary.Reports)
                .Where(report => report.GcStats.GetBytesAllocatedPerOperation(report.BenchmarkCase) > 0)
                .Select(report => $"{report.BenchmarkCase.Descriptor.WorkloadMethod.Name} ({report.BenchmarkCase.Parameters.PrintInfo})")
                .ToArray();
            Console.WriteLine(allocating.Length == 0
                ? "\nTarget met: nothing is allocated per page."
                : $"\nTarget missed: these allocate per page: {string.Join(", ", allocating)}.");
        }
        finally
        {
            Directory.Delete(artifacts, recursive: true);
        }
    }
}
