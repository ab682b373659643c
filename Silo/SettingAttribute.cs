namespace DistMigrate.Silo;

/// <summary>Tells operators what a setting means. Every setting has one: the table of <c>docs/configuration.md</c> is made of them.</summary>
/// <param name="meaning">What it is and what follows from it, as Markdown for a cell of that table.</param>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class SettingAttribute(string meaning) : Attribute
{
    public string Meaning { get; } = meaning;

    /// <summary>The default in words, where the value of a new instance depends on the machine or says nothing.</summary>
    public string? Default { get; init; }

    /// <summary>Whether its value is told to nobody.</summary>
    public bool IsSecret { get; init; }
}
