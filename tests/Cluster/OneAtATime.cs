// Three silos that watch each other and a guest under TCG take both cores of a small machine; a second cluster beside them would be told dead.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
