namespace DistMigrate.Silo;

/// <summary>What is wrong with the settings: collected, so that an operator sees everything at once.</summary>
internal sealed class SettingFaults
{
    private readonly List<(string Name, string Fault)> _faults = [];

    /// <summary>A value that makes no sense.</summary>
    /// <param name="name">The setting, such as <c>Limits:Writers</c>.</param>
    /// <param name="value">Its value; never that of a secret.</param>
    /// <param name="rule">What it has to be, as the end of a sentence: <c>it is 1 to 64</c>.</param>
    public void Value(string name, object? value, string rule) => Add(name, $"{name} is {(value is string text ? $"'{text}'" : value ?? "null")}; {rule}");

    /// <summary>Anything else.</summary>
    /// <param name="name">The setting.</param>
    /// <param name="fault">A sentence that names it, without its full stop.</param>
    public void Add(string name, string fault)
    {
        // What could not be read has its default now, of which nothing is to be said.
        if (!Has(name))
            _faults.Add((name, fault.TrimEnd('.')));
    }

    /// <summary>Whether something is wrong with this setting, so that nothing follows from its value.</summary>
    public bool Has(string name) => _faults.Exists(fault => fault.Name.Equals(name, StringComparison.OrdinalIgnoreCase));

    /// <exception cref="SettingsException">There are faults.</exception>
    public void ThrowIfAny()
    {
        if (_faults.Count > 0)
            throw new SettingsException([.. _faults.Select(fault => fault.Fault)]);
    }
}
