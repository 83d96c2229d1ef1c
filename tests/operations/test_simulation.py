"""What replicas ask of the store together grows with their number, not with its square."""

from bench.simulation import simulate


def test_rotation_purge_and_invalidation_grow_no_faster_than_the_replicas() -> None:
    """From two to eight replicas nothing more than quadruples; the square would be sixteen times as much."""
    for name, (few, many) in simulate((2, 8)).items():
        assert many.reads <= 4 * few.reads, name
        assert many.writes <= 4 * few.writes, name
