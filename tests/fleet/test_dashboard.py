"""What the live page shows: one common scene, who sees what, events, boxes on images, degrees."""

import math
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

pytest.importorskip("zenoh", reason="needs skyweave[link]")

from pyproj import Transformer

import fabricated_fleet as fleet
from fabricated_page import NOW, box, scene, view
from skyweave.fleet.dashboard.camera_overlay import boxes_on_image
from skyweave.fleet.dashboard.common_scene import CommonScene
from skyweave.fleet.dashboard.event_log import EventLog, Severity
from skyweave.fleet.dashboard.fleet_monitor import FleetMonitor
from skyweave.fleet.dashboard.geographic_fit import EXTENT_M, exponents, fit_geographic
from skyweave.fleet.dashboard.state import DashboardState, watch_fleet
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.scene_message import LinkContent, LinkPose, SceneMessage
from skyweave.fleet.link.topics import result_topic
from skyweave.fleet.sinks.cameras import CameraSinkConfig
from skyweave.fleet.sinks.messages import SceneSinkConfig
from skyweave.fleet.sinks.publisher import ScenePublisher
from waiting import until


def update(common: CommonScene, message: SceneMessage, delay: float = 0.1) -> None:
    common.update(message, message.time + delay)


def test_a_track_has_one_identity_whoever_follows_it() -> None:
    common = CommonScene()
    for step in range(8):  # two cars drive side by side; UAV_2 numbers them the other way round
        x = 2.0 * step
        moving = {"velocity": (4.0, 0.0)}
        update(common, scene("UAV_1", step / 2, box("1", x, 0.0, **moving), box("2", x, 5.0, **moving)))
        update(common, scene("UAV_2", step / 2, box("1", x + 0.2, 5.1, **moving), box("2", x, 0.1, **moving)))
    objects = {known.identity: known.json_content() for known in common.objects()}
    assert objects.keys() == {"UAV_1-1", "UAV_1-2"}
    assert objects["UAV_1-1"]["tracks"] == {"UAV_1": "1", "UAV_2": "2"}
    assert common.identity("UAV_2", "1") == "UAV_1-2" and common.identity("UAV_2", None) is None
    assert objects["UAV_1-1"]["centre"][:2] == [14.0, 0.05]
    assert objects["UAV_1-1"]["speed"] == 4.0 and objects["UAV_1-1"]["heading"] == 0.0
    assert objects["UAV_1-2"]["disagreement"] == pytest.approx(math.hypot(0.2, 0.1), abs=0.01)


def test_an_identity_survives_its_first_node_and_new_numbers_of_another() -> None:
    common = CommonScene()
    update(common, scene("UAV_1", 0.0, box("7", 0.0)))
    update(common, scene("UAV_2", 0.0, box("3", 0.0)))
    update(common, scene("UAV_2", 1.0, box("9", 0.5)))  # its tracker lost it for a while
    assert [known.identity for known in common.objects()] == ["UAV_1-7"]
    for step in range(2, 9):
        update(common, scene("UAV_2", float(step), box("9", 0.5)))
    assert [known.json_content()["tracks"] for known in common.objects()] == [{"UAV_2": "9"}]
    update(common, scene("UAV_1", 9.0, box("7", 60.0)))  # started anew: its track 7 is another car
    assert sorted(known.identity for known in common.objects()) == ["UAV_1-7", "UAV_1-7.2"]


def test_objects_found_apart_are_joined_and_others_are_not() -> None:
    common = CommonScene()
    update(common, scene("UAV_1", 0.0, box("1", 0.0)))
    update(common, scene("UAV_2", 0.0, box("1", 3.5), box("2", 40.0)))
    assert len(common.objects()) == 3
    update(common, scene("UAV_1", 0.5, box("1", 1.0)))
    update(common, scene("UAV_2", 0.5, box("1", 1.5), box("2", 40.0)))
    assert [known.identity for known in common.objects()] == ["UAV_1-1", "UAV_2-2"]
    update(
        common,
        scene(
            "UAV_3", 0.6, box("4", 1.0, category="truck"), box("5", 2.5, category="pedestrian", size=(0.5, 0.5, 1.7))
        ),
    )
    contents = [known.json_content() for known in common.objects()]
    assert [content["classes"] for content in contents] == [["car", "truck"], ["car"], ["pedestrian"]]
    assert contents[0]["category"] == "car"


def test_positions_are_averaged_and_what_all_took_from_the_same_frames_gets_no_surer() -> None:
    common = CommonScene()
    update(common, scene("UAV_1", 0.0, box("1", 0.0, covariance=(1.0, 0.2, 2.0), observers=("UAV_1",))))
    update(common, scene("UAV_2", 0.0, box("1", 1.0, covariance=(3.0, 0.0, 2.0), observers=("UAV_1", "UAV_3"))))
    content = common.objects()[0].json_content()
    assert content["centre"][0] == 0.5 and content["covariance"] == [2.0, 0.1, 2.0]
    assert content["observers"] == ["UAV_1", "UAV_3"]


def test_a_stream_that_begins_anew_is_a_new_scene() -> None:
    common = CommonScene()
    update(common, scene("UAV_1", 100.0, box("1", 0.0)))
    update(common, scene("UAV_1", 0.0, box("1", 50.0)))
    assert [known.json_content()["centre"][0] for known in common.objects()] == [50.0]


@pytest.mark.parametrize("wrong", [-1e9, -3600.0, -8.0, -2.0, 2.0, 8.0, 3600.0, 1e9])
@pytest.mark.parametrize("latency", [0.1, 1e10, -1e10])
def test_a_wrong_clock_hides_nothing_of_others(wrong: float, latency: float) -> None:
    common = CommonScene()
    for step in range(20):
        seconds = step / 2
        update(common, scene("UAV_1", seconds, box("1", 2.0 * step, velocity=(4.0, 0.0))))
        hostile = scene("UAV_2", max(seconds + wrong, -NOW), box("5", 900.0), latency=latency)
        common.update(hostile, NOW + seconds + 0.2)
        shown = {known.identity: known.json_content() for known in common.objects()}
        assert shown["UAV_1-1"]["centre"][0] == pytest.approx(2.0 * step)
    assert len(shown["UAV_1-1"]["trail"]) > 10
    assert latency != 0.1 or abs(wrong) > 3000 or "UAV_2-5" in shown, "an honest one is shown, too"


def test_a_platform_whose_times_go_back_and_forth_is_shown_all_the_same() -> None:
    common = CommonScene()
    for step in range(12):
        update(common, scene("UAV_1", step / 2, box("1", 0.0)))
        common.update(scene("UAV_2", step / 2, box("1", 0.0), latency=[0.0, 9.0, -5.0, 3.0][step % 4]), NOW + step / 2)
        assert [known.json_content()["identity"] for known in common.objects()] == ["UAV_1-1"]


def test_one_platform_leaves_room_for_the_objects_of_others() -> None:
    common = CommonScene()
    for step in range(4):
        many = [
            box(f"{step}-{index}", 10.0 * (index % 32), 10.0 * (index // 32) + 1000 * step) for index in range(1024)
        ]
        update(common, scene("UAV_1", step / 2, *many))
    update(common, scene("UAV_2", 2.0, box("1", -500.0)))
    assert "UAV_2-1" in {known.identity for known in common.objects()}


def test_many_objects_of_many_platforms_are_bounded() -> None:
    common = CommonScene()
    for number in range(3):
        boxes = [box(str(index), 10.0 * (index % 32), 10.0 * (index // 32) + 400 * number) for index in range(800)]
        update(common, scene(f"UAV_{number}", 0.0, *boxes))
    assert len(common.objects()) == 2048


@dataclass
class Times:
    """Seconds that are set by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def events_of(log: EventLog) -> list[tuple[str, str, bool]]:
    return [(event["kind"], event["platform"], event["standing"]) for event in log.json_content()]


def test_a_lost_node_is_an_alarm_until_it_is_back() -> None:
    log, time = EventLog(), Times()
    monitor = FleetMonitor(log)
    for _ in range(10):
        time.now += 0.5
        for name in ("UAV_1", "UAV_2"):
            monitor.on_message(name, time.now, NOW)
        monitor.check(time.now, NOW)
    assert events_of(log) == [("joined", "UAV_2", False), ("joined", "UAV_1", False)]
    for _ in range(4):
        time.now += 0.5
        monitor.on_message("UAV_1", time.now, NOW)
        monitor.check(time.now, NOW + 5)
    assert events_of(log)[0] == ("lost", "UAV_2", True) and monitor.is_lost("UAV_2")
    assert log.json_content()[0]["severity"] == "alarm"
    monitor.on_message("UAV_2", time.now, NOW + 9)
    monitor.check(time.now, NOW + 9)
    assert events_of(log)[:2] == [("back", "UAV_2", False), ("lost", "UAV_2", False)]
    assert "after 4 s" in log.json_content()[0]["text"]
    monitor.on_departure("UAV_1", time.now)
    monitor.on_departure("nobody", time.now)
    monitor.on_message("UAV_1", time.now + 0.1, NOW + 10)  # it was on its way
    monitor.check(time.now + 0.4, NOW + 10)
    assert events_of(log)[0] == ("lost", "UAV_1", True)


def test_links_budgets_and_poses_are_warned_of() -> None:
    log = EventLog()
    monitor = FleetMonitor(log)
    good = LinkContent(1, 1, 0, 0.1, 0.0, True, LinkPose(0.0, 0.0, True))
    monitor.on_scene(scene("UAV_1", 0.0, links={"UAV_2": good}), NOW)
    assert not log.json_content()
    bad = msgspec.structs.replace(good, alive=False, rejected=3, pose=LinkPose(5.0, 9.0, False))
    for second in range(4):
        monitor.on_scene(scene("UAV_1", 0.0, links={"UAV_2": bad}, budget=500), NOW + second)
    kinds = {(event["kind"], event["standing"]) for event in log.json_content()}
    assert kinds == {("budget", True), ("link", True), ("disagreement", True), ("refused", False)}
    monitor.on_scene(scene("UAV_1", 0.0, links={"UAV_2": good}, budget=5000), NOW)
    assert not any(event["standing"] for event in log.json_content())


def test_nodes_that_disagree_for_long_and_refused_messages_are_warned_of() -> None:
    log, common = EventLog(), CommonScene()
    monitor = FleetMonitor(log)
    for step in range(6):
        time = step / 2
        update(common, scene("UAV_1", time, box("1", 0.0)))
        update(common, scene("UAV_2", time, box("1", 0.0 if step == 0 else 4.0)))
        monitor.check_objects(common.objects(), NOW + time)
    assert events_of(log) == [("disagreement", "", True)] and "4.0 m apart" in log.json_content()[0]["text"]
    update(common, scene("UAV_2", 3.0, box("1", 0.0)))
    monitor.check_objects(common.objects(), NOW + 3.0)
    assert events_of(log) == [("disagreement", "", False)]
    for number in (1, 1, 5):
        monitor.check_rejected({"UAV_2": {"signature": number}}, NOW)
    assert (log.json_content()[0]["kind"], log.json_content()[0]["count"]) == ("refused", 2)


def test_events_are_as_of_a_time_and_those_that_stand_stay() -> None:
    log = EventLog()
    log.begin(NOW, Severity.ALARM, "lost", "A", "A", "A is lost")
    for number in range(300):
        log.add(NOW + number, Severity.NOTICE, "joined", "B", "B")
    assert log.json_content()[-1]["kind"] == "lost" and log.json_content()[-1]["standing"]
    log.end(NOW + 400, "lost", "A")
    log.begin(NOW + 500, Severity.ALARM, "lost", "A", "A", "A is lost")
    log.end(NOW + 600, "lost", "A")
    assert log.json_content(NOW + 550)[0]["standing"] and not log.json_content(NOW + 601)[0]["standing"]
    assert log.json_content(NOW + 450)[0]["kind"] == "joined"


def test_boxes_lie_on_the_image_where_the_camera_sees_them() -> None:
    seen = scene("UAV_1", 0.0, box("1", 2.0, 0.0, observers=("UAV_1",)), box("2", 500.0), views=(view(),))
    boxes = boxes_on_image(seen, "CAM", lambda track: f"UAV_1-{track}")
    assert [one["identity"] for one in boxes] == ["UAV_1-1"] and boxes[0]["observed"]
    corners = np.array(boxes[0]["corners"])
    assert corners.shape == (8, 2)
    np.testing.assert_allclose(corners[0], [(100 + 100 * 4 / 20) / 200, (50 - 100 * 1 / 20) / 100], atol=1e-3)
    np.testing.assert_allclose(corners[4:, 0].mean(), (100 + 100 * 2 / 18.4) / 200, atol=1e-3)
    assert boxes_on_image(seen, "another", str) == []
    for wrong in ({"orientation": (0.0, 0.0, 0.0, 0.0)}, {"intrinsics": (0.0,) * 9}):
        assert boxes_on_image(scene("UAV_1", 0.0, box("1", 0.0), views=(view(**wrong),)), "CAM", str) == []


@pytest.mark.parametrize(("crs", "east", "north"), [("EPSG:32632", 690000, 5335000), ("EPSG:3031", 1.2e6, -8e5)])
def test_degrees_by_polynomials_are_those_of_proj(crs: str, east: float, north: float) -> None:
    fitted = fit_geographic(crs, east, north)
    assert fitted is not None
    to_degrees = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    for x, y in ((0.0, 0.0), (0.9, -0.8), (-0.33, 0.77)):
        expected = to_degrees.transform(east + EXTENT_M * x, north + EXTENT_M * y)
        terms = [x**i * y**j for i, j in exponents()]
        computed = [float(np.dot(fitted[name], terms)) for name in ("longitude", "latitude")]
        np.testing.assert_allclose(computed, expected, atol=1e-6)
    longitude, latitude = to_degrees.transform(east, north)
    ahead = Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(longitude, latitude + 1e-4)
    assert fitted["convergence"] == pytest.approx(math.atan2(ahead[0] - east, ahead[1] - north), abs=1e-4)
    assert fit_geographic("EPSG:1", 0.0, 0.0) is None


def test_the_page_knows_who_sees_what_and_which_image_belongs_to_which_scene() -> None:
    network = LoopbackNetwork()
    state, close = watch_fleet("test", network.join())
    nodes = [fleet.node(name, network.join(), wall_clock) for name in ("UAV_1", "UAV_3")]
    publishers = [ScenePublisher(node, [SceneSinkConfig(), CameraSinkConfig(0.0)]) for node in nodes]
    fleet.meet(*nodes)
    for number in range(2):
        time = wall_clock()
        pending = [node.observe_and_send(fleet.frame(number, node.name, time)) for node in nodes]
        for node, publisher, one in zip(nodes, publishers, pending, strict=True):
            publisher.publish(node.fuse(one))
    until(lambda: len(state.json_content()["cameras"]) >= 2, "images of both")
    until(lambda: any(camera["boxes"] for camera in state.json_content()["cameras"]), "boxes on them")
    content = state.json_content()
    by_observers = {tuple(known["observers"]) for known in content["common"]}
    assert {("UAV_1",), ("UAV_3",)} <= by_observers, by_observers
    assert all(set(known["tracks"]) == {"UAV_1", "UAV_3"} for known in content["common"])
    assert [event["kind"] for event in content["events"]] == ["joined", "joined"]
    nodes[0].close()
    until(lambda: state.check() is None and state.json_content()["lost"], "the lost one is shown where it was")
    assert state.json_content()["lost"][0]["platform"] == "UAV_1"
    nodes[1].close()
    close()


def test_a_state_without_a_place_on_earth_has_no_degrees() -> None:
    state = DashboardState("test")
    state.on_scene(scene("UAV_1", 0.0, crs=None), 0.0)
    assert state.json_content()["geographic"] is None
    state.on_scene(scene("UAV_1", 0.0), 0.0)
    assert state.json_content()["geographic"]["origin"] == [0.0, 0.0]


def test_what_waited_at_its_platform_is_as_old_as_it_is() -> None:
    """A busy node fuses in time and sends later: the age counts from the capture."""
    network, now = LoopbackNetwork(), wall_clock()
    state, close = watch_fleet("test", network.join())
    waited = msgspec.structs.replace(scene("UAV_1", 0.0), time=now / 1e9 - 5.0, latency=0.1)
    topic = result_topic("test", "UAV_1", "scene")
    network.join().publish(topic, EnvelopeSealer(None, wall_clock).seal(topic, msgspec.json.encode(waited)))
    assert 5.0 <= state.json_content()["age"]["UAV_1"] < 30.0
    close()
