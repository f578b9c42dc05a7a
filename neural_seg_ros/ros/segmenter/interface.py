"""The topics, services and parameters of the segmenter."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PointStamped, PolygonStamped
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import ImageMarker

from neural_seg_ros.annotations.ros_messages import MAX_BYTES
from neural_seg_ros.config import SessionConfig
from neural_seg_ros.live import HealthConfig, LiveConfig
from neural_seg_ros.ros.segmenter.parameters import CLASS_NAMES_OPTION, HEALTH, LIVE, NodeConfig, StartConfig
from neural_seg_ros.ros.toolkit import qos
from neural_seg_ros.ros.toolkit.interface import Interface, Service, Topic

try:
    from vision_msgs.msg import LabelInfo
except ImportError:
    LabelInfo = None

_TRANSPORT = "image_transport"
MAX_INFO_BYTES = 2**16

IMAGE = Topic("image", Image, qos.IMAGE_INPUT, "the camera", lock_step=qos.LOCK_STEP, only_if=(_TRANSPORT, "raw"))
COMPRESSED = Topic(
    "image/compressed",
    CompressedImage,
    qos.IMAGE_INPUT,
    "the camera, as JPEG or PNG",
    lock_step=qos.LOCK_STEP,
    only_if=(_TRANSPORT, "compressed"),
)
CAMERA_INFO = Topic(
    "camera_info",
    CameraInfo,
    qos.CAMERA_INFO_INPUT,
    "calibration, for points in space",
    most_bytes=MAX_INFO_BYTES,
)


def _drawn(name: str, kind: type, about: str) -> Topic:
    return Topic(name, kind, qos.ANNOTATION_INPUT, about, most_bytes=MAX_BYTES)


CLICK = _drawn("~/click", PointStamped, "a pixel of `active_class`; a stamp other than 0 binds it to a frame")
BOX = _drawn("~/box", PolygonStamped, "2 opposite or 4 corners of a filled box, in pixels")
STROKE = _drawn("~/stroke", PolygonStamped, "points of a line, in pixels")
REGION = _drawn("~/region", PolygonStamped, "corners of a filled polygon, in pixels")
MARKER = _drawn(
    "~/annotation",
    ImageMarker,
    "POINTS, CIRCLE, LINE_STRIP, POLYGON; `ns`: class name or id, then `:bounding` where a POLYGON is a bounding box; "
    "REMOVE by `id`; with a stamp that frame is answered again",
)
MOUSE = _drawn("image_mouse_left", Point, "a pixel, as rqt_image_view publishes it")
POINT = _drawn(
    "/clicked_point",
    PointStamped,
    "a point in space, as RViz's Publish Point publishes it; points in `canvas_frame` are the canvas's",
)


def _picture(name: str, about: str) -> Topic:
    return Topic(name, Image, qos.OUTPUT, about, lock_step=qos.LOCK_STEP)


# Images of what annotations say, by the name of their topic.
RESULTS = {
    "mask": _picture(
        "~/mask",
        "mono8 (mono16 with `label_bits: 16`): class id of every pixel, 0 is background, 255 (65535) unlabelled; "
        "header of the input frame",
    ),
    "confidence": _picture("~/confidence", "mono8, 0-255"),
    "mask_color": _picture("~/mask_color", "rgb8, a colour for each class"),
    "overlay": _picture("~/overlay", "rgb8, classes and annotations drawn on the frame"),
}
# And of what the pixels say by themselves.
CONTOURS = {
    "contours": _picture(
        "~/contours",
        "mono8, 0-255: strength of contours found without any annotation, `live.contour_rate` times a second at most",
    ),
    "segments": _picture(
        "~/segments", "mono16: ids of what contours above `live.segment_threshold` enclose, on the same frames"
    ),
}
SUGGESTION = Topic(
    "~/suggestion",
    PointStamped,
    qos.OUTPUT,
    "pixel to click next, with the masks that answer an annotation; none where nothing is uncertain",
)
LABELS = Topic(
    "~/labels",
    LabelInfo or String,
    qos.LATCHED,
    "names of all classes in use, their ids where they have none; JSON where vision_msgs is not installed",
    kind_text="vision_msgs/msg/LabelInfo, else std_msgs/msg/String",
)
LOST = Topic(
    "~/lost",
    String,
    qos.LATCHED,
    "when it changes: names (else ids) of the classes that are lost, with commas in between; empty when none is",
)
STATUS = Topic(
    "~/status", String, qos.LATCHED, "once a second, in any state: JSON for dashboards, see [operation](operation.md)"
)
DIAGNOSTICS = Topic(
    "/diagnostics",
    DiagnosticArray,
    qos.REPORT,
    "once a second, in any state: rates, latencies, drops, memory, what is wrong",
)

UNDO = Service("~/undo", Trigger, "take back the last annotation")
REDO = Service("~/redo", Trigger, "make again what was undone last")
CLEAR = Service("~/clear", Trigger, "forget all annotations and classes; the fit of the image stays")
RESET = Service("~/reset", Trigger, "start over")
SAVE_SESSION = Service("~/save_session", Trigger, "write `session_name` into `session_directory`")
LOAD_SESSION = Service("~/load_session", Trigger, "go on from it, with its parameters")
ENABLE = Service("~/enable", SetBool, "take frames and fit, or idle")

SEGMENTER = Interface(
    node="segmenter",
    about="Takes images and annotations, gives masks. The defaults below are those of `preset: cpu`.",
    inputs=(IMAGE, COMPRESSED, CAMERA_INFO, CLICK, BOX, STROKE, REGION, MARKER, MOUSE, POINT),
    outputs=(*RESULTS.values(), *CONTOURS.values(), SUGGESTION, LABELS, LOST, STATUS, DIAGNOSTICS),
    services=(UNDO, REDO, CLEAR, RESET, SAVE_SESSION, LOAD_SESSION, ENABLE),
    options=(
        ("", StartConfig()),
        ("", NodeConfig()),
        (LIVE, LiveConfig()),
        (HEALTH, HealthConfig()),
        ("", SessionConfig()),
    ),
    extra_parameters=(CLASS_NAMES_OPTION,),
    is_managed=True,
    listens_to_tf=True,
)


def image(transport: str) -> Topic:
    """Return the camera's topic for a value of the parameter ``image_transport``."""
    return COMPRESSED if transport == "compressed" else IMAGE
