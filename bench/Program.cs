using System.Runtime.InteropServices;

Console.WriteLine($"{RuntimeInformation.OSDescription}, {Environment.ProcessorCount} CPUs, .NET {Environment.Version}");
return 0;
