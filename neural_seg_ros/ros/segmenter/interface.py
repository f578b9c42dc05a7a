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

IMAGE = Topic(
    "image", Image, qos.IMAGE_INPUT, "images of the camera", lock_step=qos.LOCK_STEP, only_if=(_TRANSPORT, "raw")
)
COMPRESSED = Topic(
    "image/compressed",
    CompressedImage,
    qos.IMAGE_INPUT,
    "images of the camera, as JPEG or PNG",
    lock_step=qos.LOCK_STEP,
    only_if=(_TRANSPORT, "compressed"),
)
CAMERA_INFO = Topic(
    "camera_info",
    CameraInfo,
    qos.CAMERA_INFO_INPUT,
    "calibration of the camera, to project `/clicked_point`",
    max_bytes=MAX_INFO_BYTES,
)


def _annotation_topic(name: str, kind: type, about: str) -> Topic:
    return Topic(name, kind, qos.ANNOTATION_INPUT, about, max_bytes=MAX_BYTES)


CLICK = _annotation_topic(
    "~/click", PointStamped, "a click of `active_class`, in pixels; a stamp other than 0 names its frame"
)
BOX = _annotation_topic("~/box", PolygonStamped, "2 opposite or all 4 corners of a filled box, in pixels")
STROKE = _annotation_topic("~/stroke", PolygonStamped, "points of a line, in pixels")
REGION = _annotation_topic("~/region", PolygonStamped, "corners of a filled polygon, in pixels")
MARKER = _annotation_topic(
    "~/annotation",
    ImageMarker,
    "POINTS, CIRCLE, LINE_STRIP or POLYGON; `ns`: class name or id, with the suffix `:bounding` for a POLYGON that is "
    "a bounding box; REMOVE takes back the annotations of an `id`; the frame of the stamp is answered again",
)
MOUSE = _annotation_topic("image_mouse_left", Point, "a click in pixels, as rqt_image_view publishes it")
POINT = _annotation_topic(
    "/clicked_point",
    PointStamped,
    "a click at a point in space, as RViz's Publish Point publishes it; points in `canvas_frame` are for the canvas",
)


def _image_topic(name: str, about: str) -> Topic:
    return Topic(name, Image, qos.OUTPUT, about, lock_step=qos.LOCK_STEP)


# Images of a result, by the name of their topic.
RESULTS = {
    "mask": _image_topic(
        "~/mask",
        "mono8 (mono16 with `label_bits: 16`): class id of every pixel, 0 for background, 255 (65535) for unlabeled; "
        "header of the input frame",
    ),
    "confidence": _image_topic("~/confidence", "mono8: confidence of every pixel, 255 for 1"),
    "mask_color": _image_topic("~/mask_color", "rgb8: a color for each class"),
    "overlay": _image_topic("~/overlay", "rgb8: classes and annotations drawn on the frame"),
}
# Images that need no annotations, by the name of their topic.
CONTOURS = {
    "contours": _image_topic(
        "~/contours",
        "mono8: strength of the contours, 255 for 1; needs no annotations; at most `live.contour_rate` times a second",
    ),
    "segments": _image_topic(
        "~/segments",
        "mono16: ids of the segments divided by contours above `live.segment_threshold`, for the same frames",
    ),
}
SUGGESTION = Topic(
    "~/suggestion",
    PointStamped,
    qos.OUTPUT,
    "the pixel to click next, after each mask that answers an annotation; nothing if no pixel is uncertain",
)
LABELS = Topic(
    "~/labels",
    LabelInfo or String,
    qos.LATCHED,
    "names of all classes in use, or their ids if they have no name; JSON if vision_msgs is not installed",
    kind_text="vision_msgs/msg/LabelInfo, else std_msgs/msg/String",
)
LOST = Topic(
    "~/lost",
    String,
    qos.LATCHED,
    "names (or ids) of the lost classes, with commas, on each change; empty if no class is lost",
)
STATUS = Topic(
    "~/status", String, qos.LATCHED, "once a second, in any state: JSON for dashboards, see [operation](operation.md)"
)
DIAGNOSTICS = Topic(
    "/diagnostics",
    DiagnosticArray,
    qos.REPORT,
    "once a second, in any state: rates, latencies, dropped frames, memory and problems",
)

UNDO = Service("~/undo", Trigger, "take back the last annotation")
REDO = Service("~/redo", Trigger, "make the last undone annotation again")
CLEAR = Service("~/clear", Trigger, "forget all annotations and classes; the field stays fitted to the image")
RESET = Service("~/reset", Trigger, "start over with an empty session")
SAVE_SESSION = Service("~/save_session", Trigger, "save the session as `session_name` in `session_directory`")
LOAD_SESSION = Service("~/load_session", Trigger, "load that session with its parameters")
ENABLE = Service("~/enable", SetBool, "process frames (true) or idle (false)")

SEGMENTER = Interface(
    node="segmenter",
    about="Turns images and annotations into masks. The defaults below are those of `preset: cpu`.",
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
