# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch
from conftest import clip, tiny_mora

from groundmore_ros.mora.modeling import ABSENT_LOGIT, Seen


def test_a_mask_stays_near_its_objects_box_and_is_absent_where_the_object_is() -> None:
    mora = tiny_mora()
    with torch.inference_mode():
        features = [mora.encode(frame).features for frame in clip(3)]
        seen = Seen(
            torch.tensor([[0.5, 0.25, 0.25, 0.125]]).expand(3, 4),
            torch.zeros(3, 16),
            torch.tensor([True, True, False]),
        )
        masks, _ = mora.model.draw(features, torch.zeros(16), seen)
    drawn = (masks > ABSENT_LOGIT).numpy()  # (T, side, side)
    assert not drawn[2].any()
    rows, columns = np.nonzero(drawn[0])
    side = drawn.shape[-1]
    # Half the box, a tenth of it more, and 0.0125 of the side, around pixels' middles.
    wide, high = (size * 0.6 + 0.0125 for size in (0.25, 0.125))
    middles = (np.arange(side) + 0.5) / side
    assert columns.min() == np.flatnonzero(middles >= 0.5 - wide)[0]
    assert columns.max() == np.flatnonzero(middles <= 0.5 + wide)[-1]
    assert rows.min() == np.flatnonzero(middles >= 0.25 - high)[0]
    assert rows.max() == np.flatnonzero(middles <= 0.25 + high)[-1]
