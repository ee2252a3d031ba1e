"""Tiny real ``.tflite`` files, so that a test of a device needs no TensorFlow: zlib, base64, made by TensorFlow 2.21.

Input int8 (1, 8, 8, 3) each: ``INT8`` a convolution, a dense layer and a softmax; ``ON_CPU`` with a CUMSUM in float32
between them, which an Ethos-U does not run; ``NO_KERNEL`` a SIGN of floats, for which TensorFlow Lite Micro has no kernel.
"""

import base64
import zlib

_INT8 = (
    "eNqlVns80+sf/461M1qIcaZUIkIoy2W+kxDjiG6We62VHYn4tU3SSZqkSCI6og6JTuvm1pzyWxTJtYuuZ6GirBSFE3Lfeb7bFzuv3x/nj9/39XrveZ7P"
    "83l/bs/n+e6rC0EQneaxEgwQESIBqEEEMMcjAggL1pAUyQAPEPksCFIEI0a6C0EpkxIJoq8D4AygCsBhsfeGhAczglg/MyPDuFJdmU0CAFZqG4/ykTEi"
    "kvufSC5jBSRnt1QikWBRXiiLzeQwuKxwTgQb0QEhQHYAK1C/aijnA+CYgs2vYCxQhqA4MI4jyhBO6hcHZgeAPAjIMSiPgGaM7BNQWZ8CBOkChSUYmV0k"
    "7wwAD7QWEKQCaaEsTaChAiQkgFuA5wbJ6gMp4SBl1CcEHVqNcEgo50c5DgnNQUGqB+GxEFbqE4nvB9QWDt0HYUsgYHUqXmW0PmqoPkZOdxa6RvwSpXp4"
    "SAP1i/gzAjCV+cQQgAVVqUUVqT3MNBeDwaC2FGW60tgUp/dBmkhNkbwBREDoAUAEqAfyVIANKKdyQiJB4tQFCJPZVuID2W10X2bvEHU++PXiMrmsnyPD"
    "NjDZ3BBuSEQ4K2gNMyyMYQGvgH6XyPrNCLXRA2zg5WpAQONC5vmWy+wU5HrqHeA6TPc2RmlqT1fqHDlRvLR/ZdpT5yyzaYpyAidl/ogo95BE9kz5NHWg"
    "2mHlzgKH+vOXyPLHTvcQyB/YQvpYR2HmLijKIQXlIPNAGUehDfVPUJjK4/9/MNM10QKxEUCf4OVqoC6tgRraV3Zo7MgdQrT4mBnNf3sUUKv/rLc8W1bv"
    "mXgwCpjpuzEVGyTtVPnYkH6mAPiisRHQLpi60/L9MVsu529dYruF//u+Ysi/b0DLTfcnXu6MEBkd9UtC1/WgJtozd1lbBNZKM5WUxjUb7S+CNCNZYrL7"
    "NxOv4sx9U0T8kTljcJ5JH9w02A9HuA/CW7PaYN7QMFy+sBs+sfk7jOi0PmVSrhf7UGZ7+lEa3QMpXxbQKHMyGZQIIy9Kpu5WChKDq246vK83HT4wcgo2"
    "u5oOi5BIVMY1i5xz+vMxjWsH2YsLJa2nXEqTctKpo7yHvTGx307MjVcfG9qm/BHzvUEvp+Hpe1sRPaLdf22p8NiakLta3S48m/lLNug+JmcK9K1jexK1"
    "zmjmtK5bGxh5q/Nu56zHMUVQNJH3TXyfnZps3aFIG4qxvSty4sWvYxc/NCb8l3o0YLLFDWPrVzRi6RRczdGmv319raInSfvPc30i31ix0yBVDcqxjHAK"
    "4sd+t6/WvmDbzO+rH+s5q+I6LMonxxoy/wrc7+UVOhpH3Exf94WQYZ5ZJrQNKLgoPYJDIOlnxrdqTjU8zlvlWdV/3EjvDE8lbWlNJ18wMtGkaXXtyHB5"
    "S2roiDBjL7/L9pfUymgnt9GW3Mm+yonb7C/JjiWqpWFaxkueO472O+O0fO8tLU54QsNsxgps7oY0kS82OmR7q6dM3HNd+8i4TWFRb/LFzW4hWUrx+4u9"
    "U2z3FIYnRWLen4Dco6NMrN7t0abVkV3m8+1D/hxyiL8TRjpOzAqBLRYTdEyxiwaONYT2FTngulX65r0aejir6eBOi+R24naol3V4+I+gdgqlxasz5nCu"
    "NdFzXjnuRKaHSMihdtApy9TTrnyybKL5/uX7eY1f5qVqilI08/KYATWOHvN48kJZ6JPQpU0LeO4+6izvErpwpFvobnnUSWI5wGn/fIDZYZ/8ae4N0bPf"
    "YBbWhpcgunPJsFaM89uhetp1mBXwodO8ubZ7n9bu0fZTWNX3DxIZQmdBfBLv5KugF5p8VnBPzF8YtdLCAfLS8a5U11Efa4EzB85+enP8gf3uYfNEo/yN"
    "N7qjs1YNlrm13nspOtyvtHHTFYt1Fc3F5ivgTQ+sK02UVbZ5q6W80W+rtuEI597MzsOVl+mPQ6q34PNpxTvWjWYcvBEakOX9yI21kmNUMuuXkIH14dzT"
    "reMJ3nMaGteY3ax5t+X1mdfMS61KE0uDdtwwiXml8aQn18Xle9ITN9uM/NoaIffVw54oq93XPN7yMyN89Pt2lpQbBqzOF7T1vC8/ei77Yhn7tl+a+GMZ"
    "32JZuvvphjq2IyntzfKuA/uGC7d8a3kTpa/gtKv+efAl/qPGL6TCHZ7rf4Tqwt22zyYl5uxLX1nRoK9RucDgNudTqMZ53davbQlWjJg5UcK5tlZOfoIw"
    "Y9E1dYtSr9MF2t3UKvdaV37+xEbcwvoFXive/uG+W9mYrHg0PjvK7Ovy1y2ME9td2Wl6o0caiYKPBVd7WyaPaZ8/nrXmLMfaw0YcWUH1uXL4zaf7Pjl4"
    "Vb2O4+JS1/CuzJWGq7mOD1NMMizcxvZ84DluoBlurcn9YKYd/Gbj3vBno5PWnoxdR/y17NjR61cPnVU9MN//6efcjb/PdXBkL9tMTqnw2b7IYnmnxlPn"
    "FwNfReb7LOfneZzeRX8ryNx1cmy5eEPmSvMSegWt7pxHnfMStbabiYu0uCbvXOuI9xsGVrmbcrufFyfbH2vftHzwJDPwgs5anUfn43X4zQJO1YJ2/sHS"
    "Vt2zrq+gg5fj/CeUxbTrl0oJQ/frky6mF0TOK7xBDnq7azd5yO1MwkszgwaDCMcXQVBxyTNt9VQXj67LsNFjpq5ZxrMxA+Pbot7al79V6ZXp+JYuOnck"
    "cahIbdst8Vhuw15RiGWK4JFfUc9Aoz35VwalZUnzqp2QkSnpWGAnQ6uNcH8//aSl3eDdmjoN2k4K1mGn2Ib6fUvsh7YOldf6vDs5CUc9A+Danz5ajJA6"
    "BdWJVxWFgnssFt6f1pR/vKz5ialz1PWwqq/qyVZxhmbf8qoWFgffxFHzmpgRP51npND0O/QKgoezf3Coqtmf0XoyK/7BejjrcvzW94sNbDVfdlbuiMT9"
    "GpfTX/28o0f+/w//j+8N2bfQvz1/A3KQcx8="
)
_ON_CPU = (
    "eNqlVnk4lGsbf2cMZswcaySmQpEkSWKaY7JmD1mSrTm2KYU6Y9QJmUZDYy98HSGlaLF0xEeUozo6tiahgyJLpYUsI5Ryar7nnXkxXef747uu77mue57l"
    "3n/3/TzvaEMQ5G7tuAUSGcsgZUCyEAGssYITDNhDAkoBNATP4hAkBmaUgAtB9t/4fFieCMgKkAygiGD6kZDwfdSgYJp/ZChDICu0SQCEEdjGI/rw+lAk"
    "43Akg6oPidjN5/P58CwN6GAw3T+CyggOjzhEpxpCkAQ4c0H86SO+ZRG9bqB3GMQ4AOY5KQj6CGYzWAFoSQEJeNkuJdxjkX052GsDORRih4CgAPMJyJkt"
    "YDoCckEJ/fMAPQDEAeQLyBDxfxbYgfFSRgn1xIXQYjngHMYNdg3PYMtP4AuxW4gdhfDRgHDIXIzIcNFLuOMEJqVBtYRRLgfaME7KgArRwnqhhX5pGAgj"
    "sA3vJRF92MtCflJIbVwQHgqRg+0vE/CwkAJiH8ZZG5Cu0DaKAKzICKxIC2ygFu2jUChIiJMY0lviIjniF+WEvutAcCmA9gDCAPoFMM0AzcC1gnNH+i8U"
    "sZH0lc+XRWrvKPSHY4AzLNKrsG1Vkb6G9x05WAp85sbwZwTTIkNd/OmMEEbIofDgIEv/0FDqZrK+ACPR/tNevAco3AJPDfzcRmrCQXg84DtIJL9P9B4T"
    "CFIS9Nv3AwdOhVhDKCWAHlZwX6BFOWkBn7CIMQrn+O37vE7whWMhrwL2NpMFvxIIwfLefCFG4ogubCsb2DKB+diluycmQmmIDgbpaaCD5iL+5yQXsPj/"
    "B2oRVyUQGwH0F1YEA3kBBrJITCQkdne+MI4sSegfqP63gUYswvV6A3TRS7VEoxbvx0INRC0Ka4ASkYe+ixUSdLxorEQkTgQzHEFQQWjx/cAi+Sz0/gIG"
    "0+9em6j9872kfv/ekfUhkd7CitQNrjUDfseRt1AbeQNg2XKQM24JVdw7sFdCEpkBa7pwTYdjxSM9CMd6QnjO5AEZiaV3REJ415dyElu622JPwc/6Abri"
    "yu62vhVfTe57WtWbfnK8ok1RLndiFi7jSHh6WiSxrEfry2zbh77xof3jD7IKFD6frMoPk+fPvy3Zuk9uPZ6qEsbK67hFN1Z+x2x1umPBTGTYzzgnvA7I"
    "DFTIL5FvMEse/cFhup/tlkpcH6UhQ5rcnu2EH6NF8NmvdGz0mSw/gnq626W20Lv7bfJkU7HuzkpDK7LWSF+iMd8WlnK8goJdPvPZs5Z65j9HEiViN0le"
    "uMWKsat+PHpYI4fEZu9S0rmn5hXzsVvth5yMStXJDL2tzA2tpj5+cIInAIjPVgX9VpxxfnlBWc360Vu05xWkm2tqMuNf2nJKtXs+0PJ7+mtT0bbqyzGa"
    "1V72R6ee3v/VY/jDuPP+tCxCW3g05e+VNl/cW726XfZcNpvzHP4zvrX4mlrTw4AdH+aOKTyq9W7XexpENJ8+O/6H4Qtre+awVlOHBlfRienrczCi/Rwv"
    "d8L9qnFaJvaaa4jqkR1f+udelwZo9RMoLmoZ13+aLRMLC3pmRM4Zjqy/8c4jL46r31KNy9hp3LrteaBvCPfie5XC8Qdrm5KuPawwuj9i+YnvFtoRMsXa"
    "U8uSexyZsuvbURZ6znZl/U/6LStaBps7avHe6x7juFdkONOnL7aVBPV6l3bXSe7lxEqEDGS+/lfKsgvOXucxrslN7y2uaEaa35ez2p4Wb5KU2z6zaUvo"
    "ZXNW4fsf8Y4/bytQwNfXpHfq/TuVN1S59nzW8N3oJ21FtR4TVYb3LV9+jrgR7PTkkapTLefNtFXn7p5nuwzK/UI2zMVqNV2QVUwMzy9ojMGIH6YXh3f+"
    "EtSdctxwY0xd3tabTpdc62+nkLYRVVTj5DmXLeLKpmz7PrzIliziTMWqm/uUHLu7DlvF1xtr+/QyaHdvg8fEWeZvGnK3JDtOPkjRk83G+vqVm6+FrGsy"
    "k9uSCksKiz8vS5xo85d49Yy43HCS5dA6UhbVa3Y57upb0yleaNjVMz6JMifHUgscn4upVqQnBUh3tnW5+6x4q1tFxho+WHuN4hIlneP4GUPROV/fUnnQ"
    "yXSTzjqd33tUuyabuCjTjs0eLdcNk8Ib0ROW+Vo5sXmrPubut6hpVlfkbn2pO8UdOu8p1ZQxxLUu73lyQD0ngjLycFe0ovRblRpNTc69qpWVh1YTDhRN"
    "lwa29KWe9GhwK75tHppYt5PHxts6E9l/8cLusDNqDnVsCb58veZTZaOVw04jXa/xG9/S5v+YMWeoGxtUhtE7c3iauauT1Zsr2rdd9bo9SM7mFBJrh0YJ"
    "lnqZprv9uy1IFegEc7+6JJo6LkeqwON2vGx0+b0zTRslH740U0raNGQyIHWuMW2Ut8pA65hd+mqVOX4VOc/wFJXqhP/VtKEoPjIlt2F07RsaRiP+9yeT"
    "BGXWHkV/W1fTaH9W9lPW6Tq2a1+zba5uUuC+MNWYyTd21C2OzhMmA9YlamXHb9xtD5en9l4xujo6MO3dq4lLUDOmj7S4+n7smrtGrUu/3kPItTrpmWU+"
    "tMrtXeLXrtZJs+jTMl109pfsIO958TjmgedHZt0sdlJMxzLYo4poHYYvj3/GbPZORYKszS6bZlqUseVUrkFP3aviMhWbg7pFmwdPGdJLGqteD1rtpw9W"
    "9OzIGz6idK7YyO7ve7ZNkW5HS5v1xJM3P+ofkJf3oWyp3a7TGDC/oY2P9nJQTKPuXae8skGK6sS7ON6XPLIXU313eUzclFz4eG6xQ9aPDlH3JganEs7M"
    "k3bSHhMlZvVS5B5vPfVGwcBOK6brWKHl+7HYyMkP/X3V8XJjgelZyfhCv9wISmxv3kgn22ajLF51llt7XPqAH23Gf0ZDi6LVdfaoAZ7gpp38cPqL203R"
    "bxtG5P8ThHwPFv6bwEPtf/wOw3puj+bJ2ukvyPOXPpLbimbImOkp8sGNQ+Qeua9ko81fybAMd00AyTnDnkQ64UfiVfuQUuy9SBfc7UjbbQJJBwIDSXA8"
    "TsRMskxmJjmqIZN8timT/B/AQpX+"
)
_NO_KERNEL = (
    "eNplUMFKw0AQndhQlnahQot46KV3Dw315FUpPXjw4H0JdC3BkJRk49Xf8CR+gN/j76RvZiegdeDtMrPvzZvZJRE9bx83C7qmBV2SRW6II0VOgi/gG/hI"
    "iEa4cYHJMRGFAXeCjLVL4AGYAa1v3orq4Pb+Je/KILrYP2qM9krVs+7CsQtuTVq34jEW7lh53PfVN3nrgq/aunFZJlwj76lwhvmsbsR6q7UbgA1uz/aI"
    "c8U9jHonv8BxAex0jp++75lzjE/JHMdT3oQiFHXl9/d5Wbrsjp2u4DH86BAzVKPHWvWr///lzvaUbsN+RjH6s6+lqTpx78/Y+/0EZwEwZQ=="
)


def content(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


INT8, ON_CPU, NO_KERNEL = content(_INT8), content(_ON_CPU), content(_NO_KERNEL)
