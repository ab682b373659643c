using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DistMigrate.Guests;

/// <summary>A RAMBlock that is to be a private mapping of a part of an image.</summary>
/// <param name="Name">The RAMBlock.</param>
/// <param name="Length">Bytes.</param>
/// <param name="PagesOffset">Where its pages begin in the image.</param>
public sealed record MappedBlock(string Name, long Length, long PagesOffset);

/// <summary>
/// Has a QEMU map its large RAMBlocks from an image instead of loading them: <c>memory-backend-file</c> with the image's pages,
/// private, so that the image stays as it is. The guest then runs at once and pays for each page when it touches it.
/// </summary>
internal static class MappedMemory
{
    private const string IdPrefix = "/objects/";

    /// <summary>Changes a plan.</summary>
    /// <exception cref="GuestException">Unsupported: guest RAM stands in the arguments in a way that is not known.</exception>
    public static LaunchPlan Apply(LaunchPlan plan, string imagePath, IReadOnlyList<MappedBlock> blocks)
    {
        var arguments = plan.Arguments.ToList();
        foreach (var block in blocks)
            Map(arguments, imagePath, block);
        if (blocks.Count > 0)
            Drop(arguments, "mem-path", hasValue: true);
        Drop(arguments, "mem-prealloc", hasValue: false);
        return plan with { Arguments = arguments, MemoryFiles = [.. plan.MemoryFiles.Where(file => arguments.Any(argument => argument.Contains(file, StringComparison.Ordinal)))] };
    }

    private static void Map(List<string> arguments, string imagePath, MappedBlock block)
    {
        var id = block.Name.StartsWith(IdPrefix, StringComparison.Ordinal) ? block.Name[IdPrefix.Length..] : block.Name;
        var backend = string.Create(CultureInfo.InvariantCulture,
            $"memory-backend-file,id={QemuOption.Escape(id)},size={block.Length},mem-path={QemuOption.Escape(imagePath)},offset={block.PagesOffset},share=off,readonly=on,rom=off");
        for (var i = 1; i + 1 < arguments.Count; i++)
        {
            if (NameOf(arguments[i]) != "object" || IdOf(arguments[i + 1]) != id)
                continue;
            arguments[i + 1] = backend;
            return;
        }

        // Without a backend QEMU names the machine's own RAM so.
        if (!block.Name.EndsWith(".ram", StringComparison.Ordinal))
        {
            throw new GuestException(GuestFault.Unsupported,
                $"RAMBlock {block.Name} of the guest belongs to no memory backend in its arguments, so the image cannot be mapped as its memory. Restore it without --lazy.");
        }

        for (var i = 1; i + 1 < arguments.Count; i++)
        {
            if (NameOf(arguments[i]) is not ("machine" or "M"))
                continue;
            arguments[i + 1] += $",memory-backend={id}";
            arguments.InsertRange(i, ["-object", backend]);
            return;
        }

        arguments.InsertRange(1, ["-object", backend, "-machine", $"memory-backend={id}"]);
    }

    private static string NameOf(string argument) => argument.TrimStart('-') is var name && argument.StartsWith('-') ? name : "";

    private static string? IdOf(string value)
    {
        if (!value.StartsWith('{'))
        {
            var option = QemuOption.Parse(value);
            return (option["qom-type"] ?? option.First).StartsWith("memory-backend-", StringComparison.Ordinal) ? option["id"] : null;
        }

        try
        {
            return JsonNode.Parse(value) is JsonObject json && json["qom-type"]?.ToString().StartsWith("memory-backend-", StringComparison.Ordinal) == true
                ? json["id"]?.ToString()
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static void Drop(List<string> arguments, string name, bool hasValue)
    {
        for (var i = arguments.Count - 1; i >= 1; i--)
        {
            if (NameOf(arguments[i]) == name)
                arguments.RemoveRange(i, hasValue && i + 1 < arguments.Count ? 2 : 1);
        }
    }
}
