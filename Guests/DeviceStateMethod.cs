namespace DistMigrate.Guests;

/// <summary>How the device state of a stopped guest is taken out of QEMU.</summary>
public enum DeviceStateMethod
{
    /// <summary>QMP <c>migrate</c> to our socket with only <c>x-ignore-shared</c> on: QEMU checks migration blockers and gives the
    /// vmdescription and the true run state, and streams all memory that is not in a shared <c>memory-backend-file</c>. The guest
    /// ends in <c>postmigrate</c>, its disks released until <c>cont</c>.</summary>
    IgnoreShared,

    /// <summary>QMP <c>xen-save-devices-state</c> with <c>live=false</c>: any memory; no vmdescription, the run state reads "running".</summary>
    XenSave,
}
