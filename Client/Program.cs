using DistMigrate.Client;
using DistMigrate.Client.Commands;

return await CommandLine.RunAsync(args, Surroundings.OfThisProcess());
