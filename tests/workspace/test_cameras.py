import pytest

from dreamkit.errors import DreamkitError
from dreamkit.workspace import cameras


def test_six_views_stand_in_the_models_order():
    rig = cameras.rig(6)
    assert [camera.folder for camera in rig.cameras] == [
        "ftheta_camera_front_wide_120fov",
        "ftheta_camera_cross_left_120fov",
        "ftheta_camera_cross_right_120fov",
        "ftheta_camera_rear_tele_30fov",
        "ftheta_camera_rear_left_70fov",
        "ftheta_camera_rear_right_70fov",
    ]
    assert [camera.index for camera in rig.cameras] == [camera.embedding for camera in rig.cameras] == [*range(6)]
    assert rig.place(rig.camera("rear_left_70fov")) == (1, 0)
    assert rig.place(rig.front) == (0, 1)


def test_five_views_skip_the_rear_camera_and_its_embedding():
    rig = cameras.rig(5)
    assert "rear_tele_30fov" not in rig.names
    assert [camera.embedding for camera in rig.cameras] == [0, 1, 2, 4, 5]
    assert rig.grid == ((1, 0, 2), (3, 0, 4))
    with pytest.raises(DreamkitError, match="6 or 5 views, not 4"):
        cameras.rig(4)


def test_prompts_get_their_cameras_sentence_once():
    prompts = cameras.view_prompts("A highway at dusk.")
    assert prompts[0].endswith("The camera is facing forward. A highway at dusk.")
    assert prompts[3] == "The video is captured from a camera mounted on a car. The camera is facing backwards."
    assert cameras.view_prompts(prompts[0]) == prompts
    assert cameras.view_prompts("A.", others=["", "Rain."])[2].endswith("to the right. Rain.")
    assert len(cameras.view_prompts("A.", cameras.FIVE_VIEWS)) == 5


def test_an_unknown_camera_is_refused_with_the_nearest_name():
    with pytest.raises(DreamkitError, match="Did you mean 'front_wide_120fov'"):
        cameras.SIX_VIEWS.camera("front_wide_120")


def test_cameras_that_a_table_leaves_out_keep_their_folder(tmp_path):
    table = tmp_path / "rig.yaml"
    table.write_text("pinhole_front: front_wide_120fov\ncam7: ftheta_camera_rear_tele_30fov\n")
    folders = cameras.read_folders(table)
    assert folders["front_wide_120fov"] == "pinhole_front"
    assert folders["rear_tele_30fov"] == "cam7"
    assert folders["rear_left_70fov"] == "ftheta_camera_rear_left_70fov"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: front_wide_120fov\nb: front_wide_120fov\n", "two folders"),
        ("a: front_wide\n", "no camera 'front_wide'"),
        ("- a\n", "lines of"),
        ("a: [1\n", "not valid YAML at line"),
        ("../a: front_wide_120fov\n", "not the name of one folder"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, message):
    table = tmp_path / "rig.yaml"
    table.write_text(text)
    with pytest.raises(DreamkitError, match=message):
        cameras.read_folders(table)
