namespace DistMigrate.Guests;

/// <summary>How QEMU has a guest change less memory while that is faster than it is sent.</summary>
public enum StreamThrottle
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>It takes CPU time away, more and more of it (QEMU's capability <c>auto-converge</c>).</summary>
    AutoConverge,

    /// <summary>It lets each CPU dirty so much a second and no more, so that what only reads is not slowed down (QEMU's capability
    /// <c>dirty-limit</c> and parameter <c>vcpu-dirty-limit</c>). Takes KVM with a dirty ring.</summary>
    DirtyLimit,
}
