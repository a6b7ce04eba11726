"""One flight of known geometry with its log in every format: the command line puts objects where they are."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from locating_flight import CRS, LOG_MARGIN_S, ORIGIN, Drone, FlightConfig, World
from pymavlink.dialects.v20 import ardupilotmega as mavlink
from rosbags.rosbag2 import StoragePlugin

from fabricated_logs import (
    BOOT_US,
    OPTICAL,
    START_NS,
    START_US,
    RosMessages,
    TelemetryLog,
    scaled,
    scaled_signed,
    uas_set,
    ulog,
    write_bag,
)
from fabricated_photo import write_photo, xmp_of
from skyweave.cli.main import main
from skyweave.core.geometry import camera_angles, project_lon_lat, rotation_from_quaternion
from skyweave.detection.formats.json_lines import write_json_lines
from skyweave.locating.located import BoxErrorConfig
from skyweave.locating.pose_error_model import PoseErrorConfig
from waiting import until

RATE, SECONDS, HEIGHT = 5, 4.0, 60.0
EXACT = PoseErrorConfig(*[0.0] * 10)
CONFIG = FlightConfig(
    HEIGHT, 45.0, EXACT, BoxErrorConfig(0.0, 0.0), seconds=SECONDS, rate=RATE, objects=12, moving=0.0, rows=108,
    columns=192,
)  # fmt: skip
WORLD = World(CONFIG, 3, elevation=0.0)
START = "2023-11-14T22:13:20Z"  # of all logs that count UTC
TOLERANCE_M = 1.0


def fly() -> Drone:
    """A flight in which the compass goes through north, where headings jump from 360 to 0 degrees."""
    drones = (Drone(CONFIG, WORLD, seed, errors=np.zeros(8)) for seed in range(1000))
    return next(one for one in drones if np.ptp([row["heading"] for row in rows_of(one)]) > 180)


def rows_of(drone: Drone) -> list[dict[str, float]]:
    """The log, a row each tenth of a second, in the degrees and metres that drones write."""
    poses = drone.log().select(np.arange(round(LOG_MARGIN_S * 10), len(drone.log())))
    rows = []
    for row in range(len(poses)):
        yaw, pitch, _ = np.degrees(camera_angles(rotation_from_quaternion(poses.enu_from_camera[row])))
        place = {"latitude": poses.places[row, 0], "longitude": poses.places[row, 1]}
        rows.append({"seconds": row / 10, **place, "heading": float((90 - yaw) % 360), "pitch": float(-pitch)})
    return rows


DRONE = fly()
ROWS = rows_of(DRONE)
LAST = ROWS[-1]["seconds"]


def write_video(path: Path, with_sets: bool = False) -> Path:
    """The video, which is grey: its boxes are in a file."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=RATE)
        video.width, video.height, video.pix_fmt = CONFIG.columns, CONFIG.rows, "yuv420p"
        data = container.add_data_stream("klv") if with_sets else None
        for number in range(round(SECONDS * RATE)):
            frame = av.VideoFrame(CONFIG.columns, CONFIG.rows, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
            for row in ROWS if data is not None else ():
                if number <= row["seconds"] * RATE < number + 1:
                    packet = av.Packet(set_of(row))
                    packet.stream, packet.time_base = data, Fraction(1, 90_000)
                    packet.pts = packet.dts = round(row["seconds"] * 90_000)
                    container.mux(packet)
        container.mux(video.encode(None))
    return path


def set_of(row: dict[str, float]) -> bytes:
    """MISB ST 0601: the platform heads east, its sensor looks where the camera does."""
    return uas_set(
        START_US + round(row["seconds"] * 1e6),
        t5=scaled(90, 0, 360, 2),
        t13=scaled_signed(row["latitude"], 90, 4),
        t14=scaled_signed(row["longitude"], 180, 4),
        t18=scaled((row["heading"] - 90) % 360, 0, 360, 4),
        t19=scaled_signed(row["pitch"], 180, 4),
    )


def write_klv(folder: Path) -> list[str]:
    stream = str(write_video(folder / "flight.ts", with_sets=True))
    return [stream, "--telemetry", stream, "--height", str(HEIGHT)]  # sets say heights above the sea


def write_log(folder: Path, name: str, content: bytes | str, *options: str) -> list[str]:
    """Write a log beside the video; return the options of the command."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [str(write_video(folder / "flight.mp4")), "--telemetry", str(path), *options]


def write_subtitles(folder: Path) -> list[str]:
    cues = []
    for number, row in enumerate(ROWS):
        start, end = (f"00:00:{row['seconds'] + k:06.3f}".replace(".", ",") for k in (0, 0.1))
        cues.append(
            f"{number + 1}\n{start} --> {end}\n[latitude: {row['latitude']:.8f}] [longitude: {row['longitude']:.8f}] "
            f"[rel_alt: {HEIGHT:.3f} abs_alt: 560.0] "
            f"[gb_yaw: {(row['heading'] + 180) % 360 - 180:.2f} gb_pitch: {row['pitch']:.2f} gb_roll: 0.0]\n"
        )
    return write_log(folder, "flight.srt", "\n".join(cues))


def csv_of(rows: list[dict[str, float]], height: str = "height_above_takeoff(m)", metres: float = HEIGHT) -> str:
    head = f"seconds,latitude,longitude,{height},gimbal_heading,gimbal_pitch"
    cells = [
        f"{row['seconds']:.1f},{row['latitude']:.9f},{row['longitude']:.9f},{metres:.3f},{row['heading']:.4f},"
        f"{row['pitch']:.4f}"
        for row in rows
    ]
    return "\n".join([head, *cells]) + "\n"


def write_csv(folder: Path) -> list[str]:
    return write_log(folder, "flight.csv", csv_of(ROWS))


def write_mavlink(folder: Path) -> list[str]:
    log = TelemetryLog()
    for row in ROWS:
        stamp = round(row["seconds"] * 1e6)
        place = [round(row[name] * 1e7) for name in ("latitude", "longitude")]
        heights = [560_000, round(HEIGHT * 1000)]
        boot = stamp // 1000
        log.add(stamp, mavlink.MAVLink_global_position_int_message(boot, *place, *heights, 0, 0, 0, 65_535))
        log.add(stamp, mavlink.MAVLink_mount_orientation_message(boot, 0.0, row["pitch"], 0.0, row["heading"]))
    return write_log(folder, "flight.tlog", log.content, "--start", START)


def write_ulog(folder: Path) -> list[str]:
    stamps = [BOOT_US + round(row["seconds"] * 1e6) for row in ROWS]
    places = [(row["latitude"], row["longitude"], 560.0) for row in ROWS]
    halves = np.radians([[row["heading"], row["pitch"]] for row in ROWS]) / 2
    (cy, cp), (sy, sp) = np.cos(halves).T, np.sin(halves).T
    quaternions = np.stack([cy * cp, -sy * sp, cy * sp, sy * cp], 1).tolist()
    topics = {
        "vehicle_global_position": (
            [("d", "lat"), ("d", "lon"), ("f", "alt")],
            [(stamp, *place) for stamp, place in zip(stamps, places, strict=True)],
        ),
        "gimbal_device_attitude_status": (
            [*[("f", f"q[{k}]") for k in range(4)], ("I", "device_flags")],
            [(stamp, *quaternion, 64) for stamp, quaternion in zip(stamps, quaternions, strict=True)],
        ),
        "sensor_gps": (
            [("Q", "time_utc_usec"), ("B", "fix_type"), ("d", "latitude_deg"), ("d", "longitude_deg")],
            [(stamp, START_US + stamp - BOOT_US, 3, 48.0, 11.0) for stamp in stamps],
        ),
        "home_position": ([("f", "alt")], [(BOOT_US, 560.0 - HEIGHT)]),
    }
    return write_log(folder, "flight.ulg", ulog(topics), "--start", START)  # type: ignore[arg-type]


def ros_messages(m: RosMessages) -> list[tuple[str, int, object]]:
    """A body that heads where the camera does, fixes, and a gimbal that looks down."""
    rows: list[tuple[str, int, object]] = [("/tf_static", START_NS, m.transform(START_NS, "gimbal", "camera", OPTICAL))]
    for row in ROWS:
        time = START_NS + round(row["seconds"] * 1e9)
        fix, odometry = m.fix(time), m.odometry(time)
        fix.latitude, fix.longitude = row["latitude"], row["longitude"]
        east, north = place_of(row["longitude"], row["latitude"])
        yaw, down = np.radians(90 - row["heading"]) / 2, np.radians(-row["pitch"]) / 2
        odometry.pose.pose.position.x, odometry.pose.pose.position.y = east, north
        odometry.pose.pose.orientation = m.quaternion(np.cos(yaw), 0, 0, np.sin(yaw))
        turn = np.array([np.cos(down), 0, np.sin(down), 0])
        rows += [("/tf", time, m.transform(time, "base_link", "gimbal", turn)), ("/fix", time, fix)]
        rows += [("/odom", time, odometry), ("/camera/camera_info", time, m.info(time, "camera"))]
    return rows


def write_ros(folder: Path, storage: StoragePlugin | None) -> list[str]:
    m = RosMessages(ros1=storage is None)
    path = write_bag(folder / ("flight.bag" if storage is None else "flight"), ros_messages(m), m.store, storage)
    video = str(write_video(folder / "flight.mp4"))
    return [video, "--telemetry", str(path), "--height", str(HEIGHT), "--start", START]


def write_photographs(folder: Path) -> list[str]:
    for number in range(round(SECONDS * RATE)):
        row = ROWS[round(10 * number / RATE)]
        angles = {"GimbalYawDegree": (row["heading"] + 180) % 360 - 180, "GimbalPitchDegree": row["pitch"]}
        xmp = xmp_of("drone-dji", {**angles, "GimbalRollDegree": 0.0, "RelativeAltitude": HEIGHT})
        whole, part = divmod(number, RATE)
        taken = {36867: f"2023:11:14 22:13:{20 + whole}", 37521: f"{part * 1000 // RATE:03}"}
        write_photo(
            folder / "photos" / f"{number:02}.jpg", row["latitude"], row["longitude"], xmp, camera=taken,
            size=(CONFIG.columns, CONFIG.rows),
        )  # fmt: skip
    return [str(folder / "photos"), "--telemetry", str(folder / "photos")]


LOGS: dict[str, Callable[[Path], list[str]]] = {
    "subtitles": write_subtitles,
    "csv": write_csv,
    "mavlink": write_mavlink,
    "ulog": write_ulog,
    "klv": write_klv,
    "ros1": lambda folder: write_ros(folder, None),
    "ros2": lambda folder: write_ros(folder, StoragePlugin.SQLITE3),
    "mcap": lambda folder: write_ros(folder, StoragePlugin.MCAP),
    "photographs": write_photographs,
}


def place_of(longitude: float, latitude: float) -> tuple[float, float]:
    east, north = project_lon_lat(np.array([[longitude, latitude]]), CRS)[0] - ORIGIN
    return float(east), float(north)


def run(folder: Path, arguments: list[str]) -> int:
    """Run the command with the boxes and the lens of the flight."""
    frames = range(round(SECONDS * RATE))
    write_json_lines(folder / "boxes.jsonl", [(frame, DRONE.detect(frame / RATE)) for frame in frames])
    lens = {"rows": CONFIG.rows, "columns": CONFIG.columns, "intrinsics": DRONE.camera.intrinsics.tolist()}
    (folder / "camera.json").write_text(json.dumps(lens))
    given = ["--detector", str(folder / "boxes.jsonl"), "--camera", str(folder / "camera.json"), "--no-calibration"]
    return main(["locate", *arguments, *given, "--formats", "geojson", "-o", str(folder / "out")])


def misses(folder: Path) -> list[float]:
    """Metres from the middle of each track to the object that it is of."""
    distances = []
    for feature in json.loads((folder / "out/tracks.geojson").read_text())["features"]:
        way = project_lon_lat(np.array(feature["geometry"]["coordinates"]).reshape(-1, 2), CRS) - ORIGIN
        distances.append(float(np.linalg.norm(WORLD.start - np.median(way, 0), axis=1).min()))
    return distances


@pytest.mark.parametrize("name", LOGS)
def test_objects_lie_where_they_are_whatever_the_log(tmp_path: Path, name: str) -> None:
    assert run(tmp_path, LOGS[name](tmp_path)) == 0
    distances = misses(tmp_path)
    assert len(distances) >= 5 and max(distances) < TOLERANCE_M


def column_of(text: str, name: str, value: str | None, rows: slice = slice(None)) -> str:
    """The table with another value in some rows of a column; without the column for None."""
    head, *lines = (line.split(",") for line in text.splitlines())
    place = head.index(name)
    for cells in lines[rows] if value is not None else [head, *lines]:
        cells[place : place + 1] = [] if value is None else [value]
    return "\n".join(",".join(cells) for cells in [head, *lines]) + "\n"


def later(seconds: float, name: str = "timestamp") -> str:
    """The log on a clock of its own, so many seconds after UTC."""
    moved = [row | {"seconds": row["seconds"] + START_US / 1e6 + seconds} for row in ROWS]
    return csv_of(moved).replace("seconds", name, 1)


def test_a_camera_without_a_heading_looks_where_the_drone_flies(tmp_path: Path) -> None:
    """The camera of this flight looks ahead, but for a sway of some degrees."""
    bare = column_of(column_of(csv_of(ROWS), "gimbal_heading", None), "gimbal_pitch", None)
    assert run(tmp_path, write_log(tmp_path, "flight.csv", bare, "--pitch", "45")) == 0
    assert max(misses(tmp_path)) < 6.0


FEET = csv_of(ROWS, "height_above_takeoff(ft)", HEIGHT / 0.3048)
BODY = csv_of(ROWS).replace("gimbal_heading", "heading")
SIGNED = csv_of([row | {"heading": (row["heading"] + 180) % 360 - 180} for row in ROWS])


@pytest.mark.parametrize(
    ("text", "options", "note"),
    [
        (csv_of([*ROWS[:30], *ROWS[20:]]), [], "whose times go back are left out"),
        (csv_of(ROWS[::-1]), [], "begins with its last row"),
        (csv_of(ROWS[:20]), [], "5 of 20 images have no pose"),
        (csv_of([*ROWS, *(row | {"seconds": row["seconds"] + LAST + 0.1} for row in ROWS)]), [], ""),
        (FEET, [], ""),
        (SIGNED, [], ""),
        (column_of(csv_of(ROWS), "latitude", "nan", slice(0, None, 3)), [], ""),
        (column_of(csv_of(ROWS), "gimbal_pitch", "NULL", slice(0, None, 3)), [], ""),
        (column_of(csv_of(ROWS), "gimbal_pitch", None), ["--pitch", "45"], "along the heading in the log"),
        (BODY, [], "taken to look ahead of the drone"),
        (later(0), ["--start", START], ""),
        (later(0), [], "the first image is taken to be of the first pose"),
    ],
)
def test_odd_logs_are_used_as_they_are_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], note: str
) -> None:
    assert run(tmp_path, write_log(tmp_path, "flight.csv", text, *options)) == 0
    assert note in capsys.readouterr().err
    distances = misses(tmp_path)
    assert len(distances) >= 5 and max(distances) < TOLERANCE_M


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (csv_of([row | {"seconds": 0.0} for row in ROWS]), [], "export it with seconds"),
        (csv_of([]), [], "has a header and no rows"),
        (csv_of([row | {"pitch": -row["pitch"]} for row in ROWS]), [], "must be negative below the horizon"),
        (column_of(csv_of(ROWS), "gimbal_pitch", None), [], "has the gimbal's heading and not its pitch; give"),
        (column_of(csv_of(ROWS), "gimbal_heading", None), [], "no heading of the gimbal or the drone; give"),
        (column_of(csv_of(ROWS), "latitude", "nan"), [], "give a log that has it with --telemetry"),
        (later(86_400), ["--start", START], "none of its images has a pose"),
        (later(18), ["--start", START], "none of its images has a pose"),  # GPS time is ahead of UTC by leap seconds
        (later(18 - 315_964_800, "gps_time(s)"), ["--start", START], "has no column of times"),
    ],
)
def test_logs_that_would_mislead_are_answered_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], message: str
) -> None:
    assert run(tmp_path, write_log(tmp_path, "flight.csv", text, *options)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("name", [name for name in LOGS if name != "photographs"])
def test_a_log_that_is_cut_off_is_an_error_or_true_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments = LOGS[name](tmp_path)
    path = Path(arguments[arguments.index("--telemetry") + 1])
    file = path if path.is_file() else next(child for child in path.iterdir() if child.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 5])
    if run(tmp_path, arguments) == 0:
        assert max(misses(tmp_path)) < TOLERANCE_M
    else:
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and path.name in error


def test_a_run_that_was_killed_leaves_nothing_behind_when_it_went_on(tmp_path: Path) -> None:
    arguments = write_csv(tmp_path)
    formats = ["--formats", "geojson", "csv", "kml", "mot", "report", "mcap", "video"]
    assert run(tmp_path, arguments) == 0  # which writes the boxes and the lens
    given = ["--detector", str(tmp_path / "boxes.jsonl"), "--camera", str(tmp_path / "camera.json"), "--resume"]
    command = ["locate", *arguments, *given, "--rate", "1", *formats, "-o"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-m", "skyweave", *command, str(killed)], stdout=subprocess.DEVNULL)
    until(lambda: (killed / "boxes-1.jsonl").exists(), seconds=90)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert main([*command, str(whole)]) == main([*command, str(killed)]) == 0
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }
    with av.open(str(whole / "annotated.mp4")) as container:
        (stream,) = container.streams
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(images) == SECONDS and all(image.std() > 5 for image in images)  # boxes and a map over the grey
