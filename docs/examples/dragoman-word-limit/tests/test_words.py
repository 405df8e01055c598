from dragoman_word_limit.words import WordCounter
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.text("ab \n\t\u3000é", max_size=5)))
def test_the_pieces_of_a_text_have_as_many_words_as_the_whole(pieces):
    counter = WordCounter()

    for piece in pieces:
        counter.feed(piece)

    assert counter.count == len("".join(pieces).split())
