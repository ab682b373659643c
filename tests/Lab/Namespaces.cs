using System.Diagnostics;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.Lab;

/// <summary>Starts programs in namespaces.</summary>
internal static class Namespaces
{
    /// <summary>Puts <c>nsenter</c> before a program, which becomes that program.</summary>
    /// <param name="start">The program.</param>
    /// <param name="option">Which namespace, as nsenter takes it.</param>
    public static void Enter(ProcessStartInfo start, string option)
    {
        start.ArgumentList.Insert(0, start.FileName);
        start.ArgumentList.Insert(0, option);
        start.FileName = StorageProgram.Find("nsenter") ?? throw new InvalidOperationException("nsenter is not installed: install util-linux.");
    }
}
