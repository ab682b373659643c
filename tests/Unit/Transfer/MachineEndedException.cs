namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>The process, or the machine, ended in a call: nothing of the product runs any more, so nothing of it may catch this.</summary>
internal sealed class MachineEndedException : Exception
{
    public MachineEndedException() : base("The machine has ended.")
    {
    }
}
